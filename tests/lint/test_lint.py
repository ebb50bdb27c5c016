"""Each check of scripts/lint can fail: bad input is found, good input is not."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import contract_literals  # noqa: E402
import forbidden_calls  # noqa: E402
import layering  # noqa: E402
import links  # noqa: E402
import metric_names  # noqa: E402
import sizes  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

LONG = "int f(void)\n{\n" + "        x();\n" * 101 + "}\n"

BAD = [
    (layering, "libcommon/base/a.c", '#include "sys/loop.h"\n', 1),
    (layering, "libcommon/codec/a.c", '#include "http/route.h"\n', 1),
    (layering, "libcommon/base/a.c", '#include "services/auth/login.h"\n', 1),
    (layering, "services/auth/a.c", '#include "../main-health/events.h"\n', 1),
    (layering, "services/auth/a.c", "#include <libpq-fe.h>\n", 1),
    (layering, "services/auth/a.c", "\n#include <jansson.h>\n", 2),
    (layering, "libcommon/http/a.c", "#include <hiredis/hiredis.h>\n", 1),
    (layering, "libcommon/store/a.h", "#include <libpq-fe.h>\n", 1),
    (forbidden_calls, "libcommon/sys/a.c", "x\nsleep(1);\n", 2),
    (forbidden_calls, "services/auth/a.c", "strcpy(a, b);\n", 1),
    (forbidden_calls, "services/auth/a.c", "        sprintf (a, b);\n", 1),
    (forbidden_calls, "services/auth/a.c", "PQexec(c, q);\n", 1),
    (forbidden_calls, "services/auth/a.c", 'getenv("X");\n', 1),
    (forbidden_calls, "services/auth/sign_in/login.c", "exit(1);\n", 1),
    (forbidden_calls, "services/auth/sign_in/login.c", 'printf("x");\n', 1),
    (forbidden_calls, "services/auth/sign_in/login.c", "/* a\ncomment */ malloc(1);\n", 2),
    (forbidden_calls, "libcommon/sys/a_test.c", "sleep(10);\n", 1),
    (contract_literals, "services/auth/a.c", 'x("s1:events:auth");\n', 1),
    (contract_literals, "services/auth/a.c", '\nx("user.created.v1");\n', 2),
    (contract_literals, "services/auth/a.c", 'x("{\\"event_id\\": 1}");\n', 1),
    (contract_literals, "services/auth/a.c", 'json_object_get(tree, "email");\n', 1),
    (contract_literals, "libcommon/http/a.c", 'x = { .code = "conflict" };\n', 1),
    (contract_literals, "services/auth/a.c", 'x("/v1/me");\n', 1),
    (sizes, "services/auth/a.c", LONG, 2),
    (sizes, "services/auth/a.c", "\n" * 1001, 1),
    (sizes, "services/auth/a.h", "\n" * 301, 1),
    (links, "docs/a.md", "\nsee [b](nowhere.md)\n", 2),
    (metric_names, "deploy/observability/a.rules.yml", "x\nexpr: rate(salus_nothing_total[5m]) > 0\n", 2),
]

GOOD = [
    (layering, "libcommon/http/a.c", '#include "base/str.h"\n#include <http_parser.h>\n#include "errors.h"\n'),
    (layering, "libcommon/store/a.c", "#include <libpq-fe.h>\n"),
    (layering, "services/auth/a.c", '#include "auth_api.h"\n#include "login.h"\n#include "service/service.h"\n'),
    (forbidden_calls, "libcommon/sys/a.c", '/* never sleep(1) */ log("strcpy(a, b)"); cm_fiber_sleep(1);\n'),
    (forbidden_calls, "libcommon/sys/a.c", "loop->exit(1); snprintf(a, 1, b); my_system(x);\n"),
    (forbidden_calls, "libcommon/sys/config.c", 'getenv("X");\n'),
    (forbidden_calls, "services/auth/main.c", "exit(1);\n"),
    (contract_literals, "services/auth/a.c", '#include "s1:x"\n/* "s1:x" */ x("SELECT a.v FROM b");\n'),
    (contract_literals, "services/auth/a_test.c", 'x("user.created.v1");\n'),
    (links, "docs/a.md", "[a](README.md#x) [b](../LICENSE) [c](https://example.org/) `[d](e)`\n".replace("`[d](e)`", "")),
    (metric_names, "deploy/observability/a.rules.yml", "expr: rate(salus_rpc_call_seconds_bucket[5m]) > salus_ready\n"),
    (sizes, "services/auth/a.c", "/* size: a flat table */\n" + LONG),
    (sizes, "services/auth/a.c", LONG.replace("        x();\n", "", 2)),
]


@pytest.mark.parametrize("check, path, text, line", BAD)
def test_bad_source_is_found(check, path, text, line):
    assert [(finding.path, finding.line) for finding in check.check(path, text)] == [(path, line)]


@pytest.mark.parametrize("check, path, text", GOOD)
def test_good_source_passes(check, path, text):
    assert list(check.check(path, text)) == []


def test_function_is_named_with_its_length():
    assert [(name, length) for name, _, length in sizes.functions(LONG)] == [("f", 101)]


# The tools: each is called by scripts/lint on a file that it must refuse.
TOOLS = [
    ("format", "libcommon/bad.c", "int  f(  void ){return 0;}\n"),
    ("tidy", "libcommon/bad.c", "int f(int *p);\nint f(int *p)\n{\n        if (p == 0)\n                return *p;\n"
                                "        return 0;\n}\n"),
    ("cppcheck", "libcommon/bad.c", "int f(void);\nint f(void)\n{\n        int a[2];\n\n        a[2] = 1;\n"
                                    "        return a[2];\n}\n"),
    ("shell", "scripts/bad", "#!/usr/bin/env bash\nrm $1\n"),
    ("python", "tests/bad.py", "import os\n"),
]


@pytest.mark.parametrize("check, name, text", TOOLS)
def test_tool_refuses_bad_file(check, name, text):
    bad = ROOT / name
    bad.write_text(text)
    try:
        done = subprocess.run([ROOT / "scripts/lint", check, "--", name], capture_output=True, text=True)
    finally:
        bad.unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    assert "bad" in done.stdout + done.stderr
