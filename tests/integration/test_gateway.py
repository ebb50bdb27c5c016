"""The gateway alone, in front of servers that repeat what they hear."""

import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import yaml
from support.client import PLAIN, problem
from support.gateway import Gateway
from support.paths import ROOT

SERVICES = ("auth", "main-health", "memory", "scheduler", "chat")
METHODS = {"get", "post", "put", "patch", "delete", "head"}


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.dumps({"service": self.server.name, "path": self.path, "length": len(self.rfile.read(length)),
                           "headers": {key.lower(): value for key, value in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Request-Id", "of-the-service")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def gateway(workspace):
    """A gateway before echoing services."""
    servers = []
    for name in SERVICES:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        server.daemon_threads = True
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    folder = workspace / "gateway-alone"
    folder.mkdir()
    started = Gateway(folder, *(server.server_port for server in servers)).start()
    yield started
    started.stop()
    for server in servers:
        server.shutdown()


@pytest.fixture
def api(gateway):
    with httpx.Client(base_url=gateway.url, timeout=20, **PLAIN) as client:
        yield client


def heard(answer: httpx.Response) -> dict:
    assert answer.status_code == 200, answer.text
    return answer.json()


def contract_paths():
    for service in SERVICES:
        document = yaml.safe_load((ROOT / f"proto/http/{service}.yaml").read_text())
        for path, item in document["paths"].items():
            yield service, path, item, document


@pytest.mark.parametrize("service, path", [(service, path) for service, path, *_ in contract_paths()])
def test_every_path_of_the_contracts_reaches_its_service(api, service, path):
    concrete = re.sub(r"\{[^}]+\}", "x", path)
    answer = heard(api.post(concrete, content=b"{}"))
    assert (answer["service"], answer["path"], answer["length"]) == (service, concrete, 2)


def header_parameters() -> set[str]:
    """Names of all header parameters that the contracts mention."""
    names = set()
    for _, _, item, document in contract_paths():
        for operation in [item, *(item[method] for method in METHODS & item.keys())]:
            for parameter in operation.get("parameters", []):
                reference = parameter.get("$ref", "")
                if reference.startswith("#/components/parameters/"):
                    parameter = document["components"]["parameters"][reference.rsplit("/", 1)[1]]
                if parameter.get("in") == "header":
                    names.add(parameter["name"].lower())
    return names


def test_every_header_of_the_contracts_passes(api):
    names = header_parameters() | {"authorization", "content-type", "accept", "accept-language"}
    answer = heard(api.post("/v1/health-events", content=b"{}", headers={name: f"value-of-{name}" for name in names}))
    assert {name: answer["headers"].get(name) for name in names} == {name: f"value-of-{name}" for name in names}


def test_identity_from_outside_is_removed(api):
    forged = {"X-User-Id": "1", "X-User-Scope": "admin", "X-Tenant-Id": "2", "X-Original-URL": "/admin",
              "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher",
              "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "tracestate": "a=b", "Cookie": "session=1"}
    headers = heard(api.get("/v1/me", headers=forged))["headers"]
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    left = {name.lower() for name in forged} - {"x-forwarded-for", "x-forwarded-proto"}
    assert left & headers.keys() == set()


@pytest.mark.parametrize("given, kept", [("a-good.id_1", True), ("short", False), ("has blanks in it", False),
                                         ("x" * 64, True), ("x" * 65, False), ("inject\"},{", False)])
def test_request_id(api, given, kept):
    answer = api.get("/v1/me", headers={"X-Request-Id": given})
    passed_on = heard(answer)["headers"]["x-request-id"]
    assert answer.headers.get_list("x-request-id") == [passed_on]
    assert passed_on == given if kept else re.fullmatch("[0-9a-f]{32}", passed_on)


def test_trace_from_outside_is_not_continued(api):
    given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    passed_on = heard(api.get("/v1/me", headers={"traceparent": given}))["headers"]["traceparent"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", passed_on)
    assert passed_on != given


def test_own_errors_are_problems(api, gateway):
    problem(api.get("/nowhere"), 404, "not_found")
    problem(api.post("/"), 405, "method_not_allowed")
    problem(api.post("/v1/me", content=b"x" * 600_000), 413, "too_large")
    problem(api.get("/" + "a" * 9000), 414, "uri_too_long")
    problem(api.get("/v1/me", headers={"X-A": "a" * 33_000}), 431, "headers_too_large")


def test_own_errors_are_those_of_the_contracts():
    text = (ROOT / "deploy/gateway/problems.conf").read_text()
    problems = [json.loads(body) for body in re.findall(r"return \d+ '(.*)';", text)]
    codes = yaml.safe_load((ROOT / "proto/errors.yaml").read_text())
    assert len(problems) >= 10
    for body in problems:
        assert codes[body["code"]] == {"status": body["status"], "title": body["title"]}


@pytest.mark.parametrize("target", ["//v1/me", "/v1/./me", "/v1/health-events/../me", "/v1/%2e%2e/me", "/v1%2Fme",
                                    "/v1/me/..", "/v1\\me%5C", "/%00"])
def test_odd_spellings_of_a_path_are_refused(gateway, target):
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        raw.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.1 400") and "application/problem+json" in answer, answer


@pytest.mark.parametrize("request_head", ["NONSENSE", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\nHost: b",
                                          "POST /v1/me HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2"])
def test_broken_requests_get_a_400(gateway, request_head):
    with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
        raw.sendall(f"{request_head}\r\n\r\n".encode())
        assert raw.recv(65536).startswith(b"HTTP/1.1 400")


def test_uploads_of_any_size_pass(api):
    assert heard(api.post("/v1/imports", content=b"x" * 3_000_000))["length"] == 3_000_000
    assert heard(api.post("/v1/health-events/batch", content=b"x" * 3_000_000))["length"] == 3_000_000


def test_guessing_passwords_is_slowed_down(api):
    # More at a time than any machine is too slow for: a burst of 40 passes, then 10 a second.
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.post("/v1/auth/login", json={}), range(300)))
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "1"
    assert api.get("/v1/me").status_code == 200


def test_a_service_that_is_down_is_said_to_be(workspace):
    folder = workspace / "gateway-down"
    folder.mkdir()
    gateway = Gateway(folder, 1, 1, 1).start()
    try:
        answer = httpx.get(f"{gateway.url}/v1/me", **PLAIN)
        problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    finally:
        gateway.stop()


def test_the_start_page_needs_nobody_else(api):
    page = api.get("/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ["/", "/api.html", "/style.css", "/start.js", "/viewer.js", "/services.js", "/icon.svg"]:
        text = api.get(path).raise_for_status().text
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path
