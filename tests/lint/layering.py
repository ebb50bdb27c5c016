"""Includes point down only, and each driver's header stays with its adapter.

libcommon/<layer>/ may include its own layer and lower ones; a service may include libcommon, itself
and what the build generates for it; nobody includes another service."""

import sys
from collections.abc import Iterator

from source import LAYERS, Finding, includes, is_test, main

# header prefix: where it may be included, in .c files and the adapter's own *_internal.h only
DRIVERS = {
    "libpq-fe.h": ["libcommon/store/"],
    "hiredis/": ["libcommon/store/"],
    "event2/": ["libcommon/sys/", "libcommon/http/"],
    "http_parser.h": ["libcommon/http/"],
    "curl/": ["libcommon/http/"],
    "jansson.h": ["libcommon/codec/"],
    "jwt.h": ["libcommon/codec/"],
    "sodium": ["libcommon/base/", "libcommon/codec/", "libcommon/http/cursor.c", "libcommon/http/idempotency.c"],
    "utf8proc.h": ["libcommon/codec/"],
    "idn2.h": ["libcommon/codec/"],
    "openssl/": ["libcommon/codec/"],
    # checksums of uploads, the handshake of WebSockets
    "openssl/evp.h": ["libcommon/codec/", "libcommon/http/tus.c", "libcommon/http/websocket_handshake.c"],
    "wslay/": ["libcommon/http/"],
    "openssl/sha.h": ["libcommon/store/"],  # the names of Redis scripts
    "crypt.h": ["services/auth/"],
    "mongoc/": ["libcommon/store/"],
    "bson/": ["libcommon/store/"],
    "zip.h": ["services/main-health/"],
    "expat.h": ["services/main-health/"],
}


def check(path: str, text: str) -> Iterator[Finding]:
    parts = path.split("/")
    for line, quoted, name in includes(text):
        target = name.split("/")[0]
        if parts[0] == "libcommon" and quoted and target in LAYERS:
            if LAYERS.index(target) > LAYERS.index(parts[1]):
                yield Finding(path, line, f"{parts[1]}/ includes the higher layer {target}/: {name}")
        elif parts[0] == "libcommon" and quoted and ("services/" in name or name.startswith("../")):
            yield Finding(path, line, f"libcommon includes {name}")
        elif parts[0] == "services" and quoted and (name.startswith("../") or "services/" in name):
            yield Finding(path, line, f"a service includes what is not its own: {name}")
        yield from _driver(path, line, name)


def _driver(path: str, line: int, name: str) -> Iterator[Finding]:
    for prefix in [prefix for prefix in DRIVERS if name.startswith(prefix)][-1:]:
        allowed = DRIVERS[prefix]
        if not is_test(path) and not any(path.startswith(folder) for folder in allowed):
            yield Finding(path, line, f"{name} belongs to {' and '.join(allowed)} only")
        elif path.endswith(".h") and not path.endswith("_internal.h") and not is_test(path):
            yield Finding(path, line, f"{name} in a header: a driver stays in its adapter's .c file")


if __name__ == "__main__":
    sys.exit(main(check))
