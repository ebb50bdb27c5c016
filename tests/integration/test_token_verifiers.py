"""The verifier of tokens beside others that know nothing of it: what we accept, all of them accept.

Tokens are made by chance, each a little off in places, and signed by our key. `--tokens N` makes more of them."""

import os
import shutil
import subprocess
import time
from collections import Counter

import pytest
from support.paths import ROOT, program

HERE = ROOT / "tests/integration/token_verifiers"
LEEWAY = 30


def installed(name: str, lock: str, *command: str):
    """The folder where a verifier is built by its lock file, once a checkout."""
    folder = ROOT / "build/token-verifiers" / name
    done = folder / "installed"
    sources = sorted(file for file in HERE.iterdir() if file.is_file())
    text = "".join(file.read_text() for file in sources)
    if not done.exists() or done.read_text() != text:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sources:
            shutil.copy(file, folder)
        assert (folder / lock).exists()
        subprocess.run(command, cwd=folder, check=True, env=os.environ | {"GOFLAGS": "-mod=readonly"})
        done.write_text(text)
    return folder


def by_program(folder, *command: str):
    """(key set, now, tokens) -> what it says of each."""
    def judge(key_set: str, now: int, tokens: list[str]) -> list[str]:
        done = subprocess.run(command, cwd=folder, input="\n".join([key_set, str(now), *tokens]) + "\n", capture_output=True,
                              text=True, check=True)
        return done.stdout.splitlines()
    return judge


def golang_jwt():
    if not shutil.which("go"):
        pytest.skip("there is no Go here")
    folder = installed("go", "go.sum", "go", "build", "-o", "verify", ".")
    return by_program(folder, "./verify")


def jose():
    folder = installed("jose", "package-lock.json", "npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    return by_program(folder, "node", "verify.mjs")


def pyjwt():
    jwt = pytest.importorskip("jwt")

    def judge(key_set, now, tokens):
        keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(key_set).keys}

        def one(token):
            try:
                head = jwt.get_unverified_header(token)
                jwt.decode(token, keys[head["kid"]], algorithms=["ES256"], issuer="salus", audience="salus", leeway=LEEWAY,
                           options={"require": ["exp", "iat", "sub", "jti"], "strict_aud": True})
                return "ok"
            except Exception as error:  # noqa: BLE001 - any of them is a refusal
                return repr(error)

        return [one(token) for token in tokens]
    return judge


def joserfc():
    joserfc_jwt = pytest.importorskip("joserfc.jwt")
    from joserfc.jwk import KeySet

    def judge(key_set, now, tokens):
        import json
        keys = KeySet.import_key_set(json.loads(key_set))
        claims = joserfc_jwt.JWTClaimsRegistry(now=now, leeway=LEEWAY, iss={"essential": True, "value": "salus"},
                                               aud={"essential": True, "value": "salus"}, exp={"essential": True},
                                               iat={"essential": True})

        def one(token):
            try:
                claims.validate(joserfc_jwt.decode(token, keys, algorithms=["ES256"]).claims)
                return "ok"
            except Exception as error:  # noqa: BLE001 - any of them is a refusal
                return repr(error)

        return [one(token) for token in tokens]
    return judge


@pytest.fixture(scope="module")
def judged(tokens):
    """The key set, the time, and tokens by our verdict."""
    now, count = int(time.time()), tokens
    made = subprocess.run([program("token_verdicts"), str(count), "20261129", str(now)], capture_output=True, check=True)
    key_set, *lines = made.stdout.decode("latin-1").splitlines()
    verdicts: dict[str, list[str]] = {}
    for line in lines:
        verdict, _, token = line.partition("\t")
        verdicts.setdefault(verdict, []).append(token)
    assert sum(map(len, verdicts.values())) == count
    assert len(verdicts["ok"]) > count / 10 and len(verdicts) == 8, {name: len(tokens) for name, tokens in verdicts.items()}
    return key_set, now, verdicts


@pytest.mark.parametrize("verifier", [golang_jwt, jose, pyjwt, joserfc], ids=lambda verifier: verifier.__name__)
def test_what_we_accept_all_accept(judged, verifier):
    key_set, now, verdicts = judged
    said = verifier()(key_set, now, verdicts["ok"])
    assert len(said) == len(verdicts["ok"])
    assert Counter(word for word in said if word != "ok") == {}
    # And it is a verifier: it refuses what is forged.
    forged = verifier()(key_set, now, verdicts["bad_signature"][:200])
    assert "ok" not in forged
