"""Names that belong to proto/ are not written again in C: Redis keys and streams, event types, JSON keys, error
codes. A heuristic over string literals; tests may spell out what they expect on the wire."""

import re
import sys
from collections.abc import Iterator

from source import Finding, code_only, is_test, literals, main

PATTERNS = [
    (re.compile(r"^s1:"), "a Redis key or stream: use build/gen/keys.h or events.h"),
    (re.compile(r"^[a-z_]+\.[a-z_.]+\.v[0-9]+$"), "an event type: use build/gen/events.h"),
    (re.compile(r'\\"[a-z][a-z0-9_]*\\"\s*:'), "a JSON key: describe it in proto/schemas"),
    (re.compile(r"^/v[0-9]+/"), "a route: it stands in proto/http"),
]
# The log's own lines and the parts of tokens are no contract of a service.
WRITES_JSON_ITSELF = {"libcommon/sys/log.c", "libcommon/codec/token.c", "libcommon/codec/token_key.c",
                      "libcommon/store/mongo_probe.c"}  # tries operators on documents of its own
TREE_ACCESS = re.compile(r"\bjson_(object_get|object_set\w*|pack|unpack)\w*\s*\(")
ERROR_CODE = re.compile(r'\.code\s*=\s*"')


def check(path: str, text: str) -> Iterator[Finding]:
    if is_test(path) or path in WRITES_JSON_ITSELF:
        return
    for line, literal in literals(text):
        for pattern, what in PATTERNS:
            if pattern.search(literal):
                yield Finding(path, line, f'"{literal[:60]}" is {what}')
    for number, line in enumerate(code_only(text).splitlines(), 1):
        if ERROR_CODE.search(line):
            yield Finding(path, number, "an error code as a literal: use build/gen/errors.h")
        if path.startswith("services/") and TREE_ACCESS.search(line):
            yield Finding(path, number, "walks a JSON tree by hand: describe it in proto/schemas")


if __name__ == "__main__":
    sys.exit(main(check))
