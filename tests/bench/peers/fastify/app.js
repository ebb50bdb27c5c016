// POST /v1/health-events as a good Fastify + pg team would write it: a pool, named (prepared) statements, compiled JSON
// schemas, an ES256 token checked on each request with fast-jwt's cache on, row-level security, idempotency, an outbox row,
// one transaction, 201 after the commit.
import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import fastifyJwt from '@fastify/jwt';
import Fastify from 'fastify';
import pg from 'pg';

const app = Fastify({ logger: false });
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const pem = createPublicKey({ key: JSON.parse(process.env.JWK), format: 'jwk' }).export({ type: 'spki', format: 'pem' });

await app.register(fastifyJwt, {
  secret: { public: pem },
  verify: { algorithms: ['ES256'], allowedAud: 'salus', allowedIss: 'salus', cache: 10000 },
});

const INSERT = {
  name: 'insert',
  text: `INSERT INTO health_events (user_id, id, version, event_type, event_subtype, status, occurred_at, zone, local_date,
           created_at, source, event_data, request_key, request_hash)
         VALUES ($1, $2, 1, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (user_id, request_key) WHERE request_key IS NOT NULL DO NOTHING`,
};
const OUTBOX = { name: 'outbox', text: 'INSERT INTO outbox (payload, event_count) VALUES ($1, 1)' };
const SCOPE = { name: 'scope', text: "SELECT set_config('app.users', $1, true)" };

const body = {
  type: 'object',
  additionalProperties: false,
  required: ['event_type', 'event_subtype', 'occurred_at', 'event_data'],
  properties: {
    event_type: { const: 'vital' },
    event_subtype: { const: 'heart_rate' },
    occurred_at: { type: 'string', format: 'date-time' },
    time_zone: { type: 'string', maxLength: 64, default: 'UTC' },
    source: { type: 'string', maxLength: 100, default: 'manual' },
    event_data: {
      type: 'object',
      additionalProperties: false,
      required: ['value', 'unit'],
      properties: { value: { type: 'number', minimum: 20, maximum: 300 }, unit: { const: '/min' } },
    },
  },
};

function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 15);
  bytes[8] = 0x80 | (bytes[8] & 63);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

const formats = new Map();
function localDate(instant, zone) {
  if (!formats.has(zone)) formats.set(zone, new Intl.DateTimeFormat('sv-SE', { timeZone: zone }));
  return formats.get(zone).format(instant);
}

const digest = (text) => createHash('sha256').update(text).digest().subarray(0, 16);

app.post('/v1/health-events', { schema: { body } }, async (request, reply) => {
  const { sub } = await request.jwtVerify();
  const event = request.body;
  const now = new Date();
  const id = uuid7();
  const occurred = new Date(event.occurred_at);
  const fact = JSON.stringify([{ id, source: '/salus/main-health', type: 'health.updated.v1', subject: sub,
    tenant: '00000000-0000-0000-0000-000000000000', time: now.toISOString(), data: {} }]);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    await client.query({ ...SCOPE, values: [`{${sub}}`] });
    const stored = await client.query({
      ...INSERT,
      values: [sub, id, 5, 1, occurred, event.time_zone, localDate(occurred, event.time_zone), now, event.source,
        event.event_data, digest(request.headers['idempotency-key']), digest(JSON.stringify(event))],
    });
    if (stored.rowCount === 0) {
      await client.query('ROLLBACK');
      return reply.code(409).send();
    }
    await client.query({ ...OUTBOX, values: [fact] });
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
  return reply.code(201).send({ id, version: 1, status: 'recorded', created_at: now, ...event });
});

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
