"""POST /v1/health-events as a good FastAPI + asyncpg team would write it: a pool, prepared statements (asyncpg prepares by
itself), pydantic models, an ES256 token checked on each request, row-level security, idempotency, an outbox row, one
transaction, 201 after the commit."""

import hashlib
import json
import os
import time
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import asyncpg
import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import ORJSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

KEY = jwt.PyJWK(json.loads(os.environ["JWK"]))
INSERT = """
WITH added AS (
  INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status, occurred_at, zone, local_date,
                             created_at, source, event_data, request_key, request_hash)
  VALUES ($1, $2, 1, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12)
  ON CONFLICT (user_id, request_key) WHERE request_key IS NOT NULL DO NOTHING RETURNING id)
SELECT id FROM added"""
OUTBOX = "INSERT INTO outbox (payload, event_count) VALUES ($1, 1)"


class VitalData(BaseModel):
    model_config = ConfigDict(extra="forbid")
    value: float = Field(ge=20, le=300)
    unit: Literal["/min"]


class EventInput(BaseModel):
    model_config = ConfigDict(extra="forbid")
    event_type: Literal["vital"]
    event_subtype: Literal["heart_rate"]
    occurred_at: AwareDatetime
    time_zone: str = "UTC"
    source: str = Field(default="manual", max_length=100)
    event_data: VitalData


@asynccontextmanager
async def lifespan(app: FastAPI):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan, default_response_class=ORJSONResponse)


def person(authorization: str = Header()) -> uuid.UUID:
    try:
        claims = jwt.decode(authorization.removeprefix("Bearer "), KEY, ["ES256"], audience="salus", issuer="salus")
    except jwt.PyJWTError as error:
        raise HTTPException(401) from error
    return uuid.UUID(claims["sub"])


def uuid7() -> uuid.UUID:
    number = (time.time_ns() // 1_000_000) << 80 | uuid.uuid4().int & ((1 << 80) - 1)
    return uuid.UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


@app.post("/v1/health-events", status_code=201)
async def record(event: EventInput, request: Request, user: uuid.UUID = Depends(person),
                 idempotency_key: str = Header()):
    now = datetime.now(UTC)
    event_id = uuid7()
    data = event.event_data.model_dump_json()
    key = hashlib.sha256(idempotency_key.encode()).digest()[:16]
    digest = hashlib.sha256(await request.body()).digest()[:16]
    local_date = event.occurred_at.astimezone(ZoneInfo(event.time_zone)).date()
    fact = json.dumps([{"id": str(event_id), "source": "/salus/main-health", "type": "health.updated.v1",
                        "subject": str(user), "tenant": str(uuid.UUID(int=0)), "time": now.isoformat(), "data": {}}])
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT set_config('app.users', $1, true)", f"{{{user}}}")
        stored = await connection.fetchval(INSERT, user, event_id, 5, 1, event.occurred_at, event.time_zone, local_date,
                                           now, event.source, data, key, digest)
        if stored is None:
            raise HTTPException(409)
        await connection.execute(OUTBOX, fact)
    return {"id": event_id, "version": 1, "status": "recorded", "created_at": now, **event.model_dump()}
