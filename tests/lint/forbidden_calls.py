"""Calls that have no place here: those that block the loop, overrun buffers, end the process, or go around
the module that does it properly. An exception is a line in this table, with its reason."""

import fnmatch
import re
import sys
from collections.abc import Iterator

from source import Finding, code_only, is_test, main

TESTS = "tests/*"  # and x_test.c, test_x.h: see source.is_test

# calls, why not, where they may be all the same
RULES: list[tuple[str, str, list[str]]] = [
    ("sleep", "blocks the loop: cm_fiber_sleep; tests wait for an event", []),
    ("usleep nanosleep clock_nanosleep", "blocks the loop: cm_fiber_sleep", [TESTS]),
    ("strcpy strcat sprintf vsprintf gets stpcpy strncpy strncat", "unbounded or unterminated: cm_buf, snprintf",
     [TESTS]),
    ("strtok strtok_r", "changes its input: cm_str_split", []),
    ("atoi atol atoll atof", "cannot fail: cm_str_to_int", [TESTS]),
    ("system popen", "starts a shell", [TESTS]),
    ("rand srand random srandom drand48", "guessable: cm_random", [TESTS]),
    ("localtime gmtime ctime asctime", "not thread-safe: base/time.h", []),
    ("gethostbyname getaddrinfo", "blocks the loop: on a worker thread only", ["libcommon/store/redis_link.c", "libcommon/http/server.c",
                                                                           "libcommon/service/healthcheck.c"]),
    ("PQexec PQexecParams PQexecPrepared PQprepare PQconnectdb PQconnectdbParams", "blocks the loop",
     ["libcommon/store/migrate*.c", TESTS]),
    ("getenv secure_getenv setenv putenv", "settings come from sys/config", ["libcommon/sys/config*.c",
      "libcommon/bus/consumer.c", "libcommon/bus/relay.c", "services/chat/replies/reply.c",  # in builds for tests only (CM_FAULTS)
      TESTS]),
    ("exit _exit quick_exit abort", "only an assertion or main() ends the process",
     # service.c: leaves behind the threads that did not end in time
     ["libcommon/base/assert.c", "libcommon/base/mem.c", "libcommon/service/service.c", "services/*/main.c", TESTS]),
    ("printf puts putchar vprintf", "standard output belongs to commands; the log is cm_log",
     ["libcommon/service/*.c", "libcommon/store/migrate*.c", "services/*/*_command.c", "services/*/*_commands.c", TESTS]),
    ("malloc calloc realloc strdup strndup asprintf vasprintf", "memory comes from base/mem.h or an arena",
     ["libcommon/base/*.c", "libcommon/codec/schema_decode.c", TESTS]),
    ("alloca", "fiber stacks are small", []),
    ("setjmp longjmp sigsetjmp siglongjmp", "fibers switch by sys/fiber only", ["libcommon/sys/fiber*.c", TESTS]),
    ("pthread_create", "threads are worker lanes or workers",
     ["libcommon/sys/*.c", "libcommon/service/*.c", TESTS]),
]

_BY_CALL = {call: (why, allowed) for calls, why, allowed in RULES for call in calls.split()}
_CALL = re.compile(r"(?<![\w.>])(" + "|".join(map(re.escape, _BY_CALL)) + r")\s*\(")


def _is_allowed(path: str, patterns: list[str]) -> bool:
    return (TESTS in patterns and is_test(path)) or any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def check(path: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(code_only(text).splitlines(), 1):
        for match in _CALL.finditer(line):
            why, allowed = _BY_CALL[match.group(1)]
            if not _is_allowed(path, allowed):
                yield Finding(path, number, f"{match.group(1)}(): {why}")


if __name__ == "__main__":
    sys.exit(main(check))
