"""A chat completions server that is strict with its client and difficult in its answers.

  python3 -P tests/support/provider.py       serves on a free port, which it prints; ends with its standard input

POST /CASE/v1/chat/completions, where CASE is a name of CASES, or corpus/NAME for a file of tests/data/provider. Each request is
checked as the API's description says; what is wrong with it is answered with 400 and kept. GET /seen/CASE says what came.
"""

import json
import pathlib
import random
import re
import select
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CORPUS = pathlib.Path(__file__).resolve().parents[1] / "data" / "provider"
REQUEST_KEYS = {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "temperature", "max_tokens",
                "max_completion_tokens", "top_p", "parallel_tool_calls"}
MESSAGE_KEYS = {"system": {"role", "content"}, "user": {"role", "content"}, "assistant": {"role", "content", "tool_calls"},
                "tool": {"role", "tool_call_id", "content"}}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")

seen: dict[str, dict] = {}
lock = threading.Lock()


class Wrong(Exception):
    pass


def need(condition, problem):
    if not condition:
        raise Wrong(problem)


def check(body):
    need(set(body) <= REQUEST_KEYS, f"unknown members: {set(body) - REQUEST_KEYS}")
    need(isinstance(body.get("model"), str) and body["model"], "model is missing")
    need(isinstance(body.get("messages"), list) and body["messages"], "messages is missing")
    open_calls: set[str] = set()
    for message in body["messages"]:
        open_calls = check_message(message, open_calls)
    need(not open_calls, f"calls without an answer: {open_calls}")
    for tool in body.get("tools", []):
        function = tool["function"]
        need(tool["type"] == "function" and NAME.match(function["name"]), "a tool needs a type and a name")
        need(function["parameters"]["type"] == "object", "parameters of a tool are an object")
        need("x-tool" not in json.dumps(function), "words of our own in a tool")


def check_message(message, open_calls):
    role = message.get("role")
    need(role in MESSAGE_KEYS, f"no role: {role}")
    need(set(message) <= MESSAGE_KEYS[role], f"unknown members of {role}: {set(message)}")
    if role == "tool":
        need(message["tool_call_id"] in open_calls, f"answers no call: {message['tool_call_id']}")
        need(isinstance(message["content"], str), "a result is text")
        return open_calls - {message["tool_call_id"]}
    need(not open_calls, "a call must be answered before the next turn")
    need(isinstance(message.get("content"), str) or message.get("tool_calls"), "content is missing")
    ids = [call["id"] for call in message.get("tool_calls", [])]
    need(len(ids) == len(set(ids)), "an id twice")
    for call in message.get("tool_calls", []):
        need(call["type"] == "function" and NAME.match(call["function"]["name"]), "a call needs a type and a name")
        json.loads(call["function"]["arguments"])
    return set(ids)


# ---- answers: each yields pieces of an event stream


def chunk(delta=None, finish=None):
    return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": delta or {}, "finish_reason": finish}]}) + "\n\n"


def words(text):
    for letter in text:
        yield chunk({"content": letter})
    yield chunk({}, "stop")
    yield "data: [DONE]\n\n"


def call(name, arguments, identity="call_1"):
    yield chunk({"role": "assistant", "content": None,
                 "tool_calls": [{"index": 0, "id": identity, "type": "function", "function": {"name": name, "arguments": ""}}]})
    for letter in arguments:
        yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": letter}}]})
    yield chunk({}, "tool_calls")
    yield "data: [DONE]\n\n"


def last(body, role):
    texts = [message["content"] for message in body["messages"] if message["role"] == role]
    return texts[-1] if texts else None


def echo(body):
    return words("You wrote: " + last(body, "user"))


def tool(body):
    result = last(body, "tool")
    return words("Done: " + result) if result else call("remember", json.dumps({"text": last(body, "user")}))


def text_numbers(body):
    result = last(body, "tool")
    return words("Done.") if result else call("log_exercise", json.dumps(
        {"exercise": "squat", "exercise_name": "squats", "sets": "3", "repetitions": "10", "weight": "62.5", "weight_unit": "kg"}))


def unknown_tool(body):
    result = last(body, "tool")
    return words("Told: " + result) if result else call("launch_rocket", "{}")


def invalid_arguments(body):
    result = last(body, "tool")
    return words("Told: " + result) if result else call("remember", '{"text": oops')


def same_call_for_ever(body):
    return call("recall", '{"query":"x"}') if "tools" in body else words("Enough.")


def calls_for_ever(body):
    return call("recall", json.dumps({"query": f"x{len(body['messages'])}"}))


CASES = {function.__name__: function for function in (
    echo, tool, text_numbers, unknown_tool, invalid_arguments, same_call_for_ever, calls_for_ever)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        case = self.path.removeprefix("/seen/")
        with lock:
            text = json.dumps(seen.get(case, {}))
        self.send_json(200, text)

    def do_POST(self):
        case, _, rest = self.path.removeprefix("/").partition("/v1/")
        with lock:
            state = seen.setdefault(case, {"count": 0, "wrong": [], "closed_at": 0, "bodies": []})
            state["count"] += 1
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            need(rest == "chat/completions", "no such path")
            body = json.loads(raw)
            state["bodies"].append({key: value for key, value in body.items() if key != "tools"})
            check(body)
            getattr(self, "do_" + case, lambda _body, _state: self.answer(case, body))(body, state)
        except (Wrong, ValueError, KeyError) as problem:
            state["wrong"].append(str(problem))
            self.send_error_object(400, str(problem))

    # ---- cases that are about HTTP

    def do_refuse(self, _body, _state):
        self.send_error_object(401, "bad key")

    def do_down(self, _body, _state):
        self.send_error_object(503, "down")

    def do_busy(self, body, state):
        if state["count"] < 3:
            self.send_error_object(429, "busy", {"Retry-After-Ms": "5"})
        else:
            self.stream(echo(body))

    def do_busy_for_long(self, _body, _state):
        self.send_error_object(429, "busy", {"Retry-After": "3600"})

    def do_not_again(self, _body, _state):
        self.send_error_object(500, "no", {"X-Should-Retry": "false"})

    def do_plain(self, _body, _state):
        self.send_json(200, json.dumps({"id": "c", "object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Whole."}, "finish_reason": "stop"}]}))

    def do_html(self, _body, _state):
        self.send_json(200, "<html>login</html>", "text/html")

    def do_empty(self, _body, _state):
        self.stream([])

    def do_stall(self, _body, state):
        self.begin()
        self.piece(chunk({"content": "He"}))
        self.connection.settimeout(30)
        select.select([self.connection], [], [], 30)
        state["closed_at"] = time.monotonic_ns() // 1000
        self.close_connection = True

    def do_lies(self, _body, _state):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(chunk({"content": "Half"}).encode())
        self.wfile.flush()
        self.close_connection = True

    def do_cut(self, _body, _state):
        self.begin()
        self.piece(chunk({"content": "Half"}))
        self.wfile.flush()
        self.close_connection = True

    def do_cut_inside(self, _body, _state):
        self.begin()
        self.piece(chunk({"content": "Half"}) + 'data: {"choices":[{"ind')
        self.wfile.flush()
        self.close_connection = True

    def do_flood(self, _body, _state):
        self.stream(chunk({"content": "x" * 1000}) for _ in range(20000))

    # ---- plumbing

    def answer(self, case, body):
        if case.startswith("corpus/"):
            self.stream_bytes((CORPUS / (case.removeprefix("corpus/") + ".sse")).read_bytes())
        else:
            need(case in CASES, f"no case is called {case}")
            self.stream(CASES[case](body))

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def piece(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stream(self, pieces):
        self.begin()
        try:
            for text in pieces:
                self.piece(text)
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def stream_bytes(self, data):
        """In pieces of any length, so that characters and events are cut."""
        lengths = random.Random(len(data))
        pieces = []
        while data:
            length = lengths.randint(1, 40)
            pieces.append(data[:length])
            data = data[length:]
        self.stream(pieces)

    def send_json(self, status, text, kind="application/json", headers=()):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def send_error_object(self, status, message, headers=()):
        self.send_json(status, json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}}),
                       headers=headers)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
