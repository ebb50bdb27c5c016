"""Who appears in the demo: each run has people of its own."""

import os
import uuid

from client import Api
from tell import expect_status

PORT = int(os.environ["SALUS_PORT_BASE"])
PASSWORD = "the kettle sings at a quarter to seven"
HOME = "Asia/Jerusalem"


class Person:
    def __init__(self, name: str, email: str, tokens: dict):
        self.name = name
        self.email = email
        self.id = tokens["user"]["id"]
        self.device = tokens["device_token"]
        self.api = Api(PORT, tokens["access_token"])


def register(name: str, language: str = "en", time_zone: str = HOME) -> Person:
    email = f"{name.lower()}.{uuid.uuid4().hex[:12]}@example.org"
    answer = Api(PORT).post("/v1/auth/register", {
        "email": email, "password": PASSWORD, "display_name": name, "language": language, "time_zone": time_zone})
    expect_status(answer, 201, f"{name} registers as {email}")
    return Person(name, email, answer.json)
