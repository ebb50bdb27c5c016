"""The audit log: what it says, who may read it, and that nothing sealed can be changed unnoticed."""

import itertools
import random
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support import client
from support.client import PASSWORD, Api, problem
from support.races import Shot, fire
from support.waiting import eventually

MERGE = {"Content-Type": "application/merge-patch+json"}


def log_in(url: str, person, password: str = PASSWORD, **headers) -> httpx.Response:
    with Api(url) as api:
        return api.post("/v1/auth/login", json={"email": person.email, "password": password}, headers=headers)


def refresh(url: str, token: str) -> httpx.Response:
    with Api(url) as api:
        return api.post("/v1/auth/refresh", json={"refresh_token": token})


def own(person, **params) -> list[dict]:
    return person.auth.get("/v1/me/audit", params=params).json()["items"]


def acts(rows: list[dict]) -> list[tuple]:
    return [(row["action"], row["outcome"], row.get("method"), row.get("reason")) for row in rows]


@pytest.fixture
def admin(auth, person, stack):
    somebody = person(name="admin")
    with stack.postgres.connect("salus_auth") as database:
        database.execute("UPDATE users SET user_type = 3 WHERE id = %s", [somebody.id])
    somebody.auth = Api(auth.url, log_in(auth.url, somebody).json()["access_token"])
    return somebody


# ---- what it says

def test_what_the_audit_log_says(auth, person, stack):
    """Each act, good or bad, with who, whose, from where, how and why."""
    somebody = person()
    problem(log_in(auth.url, somebody, "wrong", **{"X-Forwarded-For": "203.0.113.150"}), 401)
    session = log_in(auth.url, somebody, **{"X-Forwarded-For": "203.0.113.151", "User-Agent": "phone/1"}).json()
    assert somebody.auth.patch("/v1/me", content=b'{"language": "he"}', headers=MERGE).status_code == 200
    tokens = [session["refresh_token"]]
    for _ in range(2):
        tokens.append(refresh(auth.url, tokens[-1]).json()["refresh_token"])
    refresh(auth.url, tokens[1])
    problem(refresh(auth.url, tokens[0]), 401, "token_reused")
    other = log_in(auth.url, somebody).json()
    assert somebody.auth.delete(f"/v1/me/sessions/{other['session_id']}").status_code == 204
    problem(refresh(auth.url, other["refresh_token"]), 401, "token_expired")
    problem(somebody.auth.post("/v1/me/deactivate", json={"password": "wrong"}), 401)
    rows = own(somebody)[::-1]
    assert acts(rows) == [
        ("account.create", "done", "password", None),
        ("login.password", "refused", "password", "wrong_password"),
        ("login.password", "done", "password", None),
        ("account.change", "done", "token", None),
        ("session.refresh", "done", "refresh", None),
        ("session.refresh", "done", "refresh", None),
        ("session.refresh", "done", "refresh", "same_child"),
        ("session.refresh", "refused", "refresh", "token_reused"),
        ("login.password", "done", "password", None),
        ("session.end", "done", "token", "other_session"),
        ("session.refresh", "refused", "refresh", "session_over"),
        ("step_up.password", "refused", "password", "wrong_password"),
    ]
    assert [row["ip"] for row in rows[:3]] == ["127.0.0.1", "203.0.113.150", "203.0.113.151"]
    assert rows[2]["user_agent"] == "phone/1" and all(row["request_id"] and row["user_agent"] for row in rows)
    assert all(row["user_id"] == somebody.id for row in rows)
    assert ["actor" in row for row in rows] == [row["outcome"] == "done" or row["action"] == "step_up.password" for row in rows]
    assert rows[4]["target"] == session["session_id"] and rows[9]["target"] == other["session_id"]
    assert [row["position"] for row in rows] == sorted(row["position"] for row in rows)
    assert stack.postgres.rows("salus_auth", "SELECT count(*) FROM audit_log WHERE user_id = %s", somebody.id) == [(12,)]


def test_the_end_of_an_account_is_written_down(auth, person, stack):
    somebody = person()
    log_in(auth.url, somebody)
    assert somebody.auth.request("DELETE", "/v1/me", json={"password": PASSWORD}).status_code == 204
    rows = stack.postgres.rows("salus_auth", "SELECT action, method, reason, actor = user_id FROM audit_log"
                               " WHERE user_id = %s ORDER BY position", somebody.id)
    assert rows[2:] == [("session.end", "token", "account_closed", True)] * 2 + [("account.delete", "password", None, True)]


def test_an_unknown_address_is_nobodys_row(auth, person, stack):
    stranger = person()
    stranger.email = client.new_email("stranger")
    problem(log_in(auth.url, stranger, **{"X-Forwarded-For": "203.0.113.152"}), 401)
    rows = stack.postgres.rows("salus_auth", "SELECT actor, user_id, target, reason FROM audit_log WHERE ip = '203.0.113.152'")
    assert rows == [(None, None, None, "no_account")]


# ---- what is refused before anything is done

def refusals(stack, where: str, *params) -> list[tuple]:
    return stack.postgres.rows("salus_auth", "SELECT action, target, method, reason, actor::text, user_id::text FROM audit_log"
                               f" WHERE outcome = 'refused' AND {where} ORDER BY position", *params)


def test_refused_access_is_a_row_at_once_and_then_counted(private_stack):
    """One row a minute for each who and why, before the reply; the others are told when the minute, or the daemon, ends."""
    auth = private_stack.daemon("auth", SALUS_WORKERS="1")
    somebody, other = client.register(auth.url), client.register(auth.url)
    for each in (somebody, other):
        problem(each.auth.get("/v1/admin/users"), 403, "forbidden")
    first = [("access.refuse", "GET /v1/admin/users", "token", "scope", each.id, None) for each in (somebody, other)]
    assert refusals(private_stack, "action = 'access.refuse'") == first
    for path in ("/v1/admin/flags", "/v1/admin/clients", "/v1/admin/audit"):
        problem(somebody.auth.get(path), 403, "forbidden")
    with Api(auth.url, "no.token.atall") as stranger, Api(auth.url) as nobody:
        for _ in range(3):
            problem(stranger.get("/v1/me"), 401)
            problem(nobody.get("/v1/me"), 401)
    assert refusals(private_stack, "action = 'access.refuse'")[2:] == [("access.refuse", "GET /v1/me", None, "malformed", None, None)]
    for _ in range(4):
        problem(refresh(auth.url, "x" * 40), 401)
    assert refusals(private_stack, "action = 'session.refresh'") == [
        ("session.refresh", "POST /v1/auth/refresh", "refresh", "not_ours", None, None)]
    auth.stop()
    told = refusals(private_stack, "reason LIKE '%% more'")
    assert sorted(told) == sorted([
        ("access.refuse", "GET /v1/admin/users", "token", "scope, 3 more", somebody.id, None),
        ("access.refuse", "GET /v1/me", None, "malformed, 2 more", None, None),
        ("session.refresh", "POST /v1/auth/refresh", "refresh", "not_ours, 3 more", None, None)])
    assert private_stack.daemon("auth", name="auth-checks", start=False).run("--verify-audit").returncode == 0


def test_a_flood_of_refusals_is_no_flood_of_rows(private_stack):
    auth = private_stack.daemon("auth", SALUS_WORKERS="1", SALUS_AUDIT_REFUSALS="5")
    for number in range(200):
        with Api(auth.url, "no.token.atall") as stranger:
            problem(stranger.get("/v1/me", headers={"X-Forwarded-For": f"198.51.{number}.7"}), 401)
    assert len(refusals(private_stack, "action = 'access.refuse'")) == 5
    auth.stop()
    assert refusals(private_stack, "reason LIKE '%% more'") == [
        ("access.refuse", None, None, "beyond_the_limit_of_rows, 195 more", None, None)]


def test_a_refusal_stands_without_its_row(private_stack):
    auth = private_stack.daemon("auth", SALUS_WORKERS="1")
    somebody = client.register(auth.url)
    with private_stack.postgres.connect("salus_auth") as database:
        database.execute("REVOKE INSERT ON audit_log FROM salus_auth")
        database.execute("REVOKE INSERT (at, actor, user_id, action, target, outcome, method, reason, ip, user_agent, request_id)"
                         " ON audit_log FROM salus_auth")
    problem(somebody.auth.get("/v1/admin/users"), 403, "forbidden")
    assert auth.metric("salus_auth_refusals_unwritten_total") == 1
    assert "refused requests are not in the audit log" in auth.log_text()


def test_an_attempt_beyond_the_limit_is_the_accounts_row(private_stack):
    """So its owner sees it; an address without an account has a row of nobody."""
    auth = private_stack.daemon("auth", SALUS_WORKERS="1", SALUS_LOGIN_ACCOUNT_LIMIT="2")
    somebody, stranger = client.register(auth.url), client.new_email("stranger")
    for email in (somebody.email, stranger):
        for number in range(5):
            with Api(auth.url) as api:
                answer = api.post("/v1/auth/login", json={"email": email, "password": "wrong"},
                                  headers={"X-Forwarded-For": "203.0.113.160"})
            assert answer.status_code == (401 if number < 2 else 429)
    assert refusals(private_stack, "reason = 'limit'") == [
        ("login.password", "POST /v1/auth/login", "password", "limit", None, user) for user in (somebody.id, None)]
    assert [row["reason"] for row in own(somebody) if row["outcome"] == "refused"] == ["limit", "wrong_password", "wrong_password"]


def test_an_admin_who_asks_for_what_is_not_theirs(auth, admin, stack):
    target = str(uuid.uuid4())
    problem(admin.auth.get(f"/v1/admin/users/{target}"), 404)
    for _ in range(2):
        problem(admin.auth.post(f"/v1/admin/users/{target}/suspend"), 404)
    problem(admin.auth.delete(f"/v1/admin/users/{target}/sessions"), 404)
    problem(admin.auth.post(f"/v1/admin/users/{admin.id}/suspend"), 409, "own_account")
    rows = refusals(stack, "target = ANY (%s)", [target, admin.id])
    assert {row[0]: row[2:5] for row in rows if row[1] == target} == dict.fromkeys(
        ("account.read", "account.suspend", "account.end_sessions"), ("token", "not_found", admin.id))
    assert [row[0] for row in rows if row[1] == admin.id and row[3] == "own_account"] == ["account.suspend"]


def test_who_made_the_first_admin(private_stack):
    private_stack.daemon("auth")
    rows = private_stack.postgres.rows("salus_auth", "SELECT a.action, a.method, a.reason, a.actor, u.email FROM audit_log a"
                                       " JOIN users u ON u.id = a.user_id")
    assert rows == [("account.create", "settings", "first_admin", None, private_stack.admin_email)]


# ---- reading

def test_everybody_sees_their_own_only(person):
    somebody, other = person(), person()
    assert acts(own(somebody)) == [("account.create", "done", "password", None)]
    assert own(somebody)[0]["user_id"] == somebody.id != own(other)[0]["user_id"]
    problem(somebody.auth.get("/v1/admin/audit"), 403, "forbidden")
    problem(Api(str(somebody.auth.base_url)).get("/v1/me/audit"), 401)


def test_pages_and_filters(auth, person):
    somebody = person()
    token = somebody.tokens["refresh_token"]
    for n in range(7):
        token = refresh(auth.url, token).json()["refresh_token"]
        if n == 3:
            middle = datetime.now(UTC)
    problem(log_in(auth.url, somebody, "wrong"), 401)
    everything = own(somebody, limit=200)
    seen, cursor = [], {}
    while True:
        page = somebody.auth.get("/v1/me/audit", params={"limit": 4, **cursor}).json()
        seen += page["items"]
        if "next_cursor" not in page:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == everything and len(seen) == 9
    assert len(own(somebody, action="session.refresh")) == 7 and len(own(somebody, action="login.password")) == 1
    moment = middle.isoformat()
    assert own(somebody, since=moment) + own(somebody, until=moment) == everything
    assert len(own(somebody, until=moment)) == 5
    # A cursor belongs to its search.
    problem(somebody.auth.get("/v1/me/audit", params={**cursor, "action": "x"}), 400, None, "/query/cursor")
    problem(somebody.auth.get("/v1/me/audit", params={"since": "yesterday"}), 400, None, "/query/since")


def test_administrators_search_all_and_are_written_down(auth, person, admin, stack):
    somebody = person()
    problem(log_in(auth.url, somebody, "wrong", **{"X-Forwarded-For": "203.0.113.153"}), 401)

    def search(**params):
        answer = admin.auth.get("/v1/admin/audit", params={"limit": 200, **params})
        assert answer.status_code == 200, answer.text
        return answer.json()["items"]

    before = acts(own(somebody))
    assert acts(search(user_id=somebody.id)) == before and len(before) == 2
    assert {row["user_id"] for row in search(actor=somebody.id)} == {somebody.id}
    failed = [row for row in search(action="login.password") if row["outcome"] == "refused"]
    assert failed[0]["ip"] == "203.0.113.153"
    positions = [row["position"] for row in search()]
    assert positions == sorted(positions, reverse=True)
    looked = search(actor=admin.id, action="audit.read")
    assert looked and f"user={somebody.id}" in [row["target"] for row in looked if row.get("user_id") == somebody.id][0]
    assert search(user_id=somebody.id, until=(datetime.now(UTC) - timedelta(hours=1)).isoformat()) == []


# ---- rights

def test_the_service_may_add_and_read_and_nothing_else(stack, auth, person):
    person()
    with stack.postgres.connect("salus_auth", "salus_auth") as service:
        service.execute("SELECT set_config('app.role', 'service', false)")
        for table in ("audit_log", "audit_heads"):
            for sql in (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}"):
                with pytest.raises(Exception, match="permission denied|must be owner"):
                    service.execute(sql)
        for sql in ("UPDATE audit_log SET reason = ''", "UPDATE audit_heads SET digests = NULL",
                    "INSERT INTO audit_log (position, at, action, outcome, ip, user_agent, request_id)"
                    " VALUES (1, now(), '', '', '', '', '')",
                    "SELECT setval('audit_log_position', 1)"):
            with pytest.raises(Exception, match="permission denied"):
                service.execute(sql)
        # Not even the function that removes what is old goes below a month.
        assert service.execute("SELECT audit_forget(interval '0')").fetchone() == (False,)


# ---- the seal

def sealed(stack) -> bool:
    return stack.postgres.rows("salus_auth", "SELECT (SELECT max(position) FROM audit_log) ="
                               " (SELECT max(last_position) FROM audit_heads)") == [(True,)]


def verify(auth, *arguments) -> tuple[int, str]:
    done = auth.run("--verify-audit", *arguments, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def sealed_log(private_stack):
    """A daemon with some people and a sealed log."""
    auth = private_stack.daemon("auth", SALUS_AUDIT_SEAL_EVERY="50ms")
    for _ in range(6):
        somebody = client.register(auth.url)
        token = somebody.tokens["refresh_token"]
        for _ in range(8):
            token = refresh(auth.url, token).json()["refresh_token"]
    eventually(lambda: sealed(private_stack), within=10, what="all rows are sealed")
    return auth


def test_rows_are_sealed_soon(stack, auth, person):
    """By the daemon's own settings within a second or so; a transaction that takes long holds back what came after it, and then
    that is sealed as well."""
    person()
    eventually(lambda: sealed(stack), within=5, what="all rows are sealed")
    with stack.postgres.connect("salus_auth") as slow:
        slow.autocommit = False
        slow.execute("INSERT INTO audit_log (at, action, outcome, ip, user_agent, request_id) VALUES (now(), 'slow', '', '', '', '')")
        person()
        time.sleep(1.5)  # three looks: what the slow one holds back must not be sealed without it
        assert not sealed(stack)
        slow.commit()
    eventually(lambda: sealed(stack), within=5, what="all rows are sealed")
    status, said = verify(auth)
    assert status == 0 and said.startswith("whole: "), said


def test_positions_of_what_was_rolled_back_are_no_fault(stack, auth, person):
    with stack.postgres.connect("salus_auth") as database:
        database.autocommit = False
        database.execute("INSERT INTO audit_log (at, action, outcome, ip, user_agent, request_id) VALUES (now(), '', '', '', '', '')")
        database.rollback()
    person()
    eventually(lambda: sealed(stack), within=5)
    assert verify(auth)[0] == 0


def test_two_sealers_make_one_chain(stack, auth, person):
    second = stack.daemon("auth", name="auth-sealer", SALUS_AUDIT_SEAL_EVERY="50ms")
    for _ in range(10):
        person()
    eventually(lambda: sealed(stack), within=5)
    assert verify(second)[0] == 0
    second.stop()


MUTATIONS = {
    "flip": ("UPDATE audit_log SET ip = ip || '0' WHERE position = {row}", "row {row} was changed"),
    "time": ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE position = {row}", "row {row} was changed"),
    "empty for none": ("UPDATE audit_log SET reason = '' WHERE position = {row}", "row {row} was changed"),
    "drop": ("DELETE FROM audit_log WHERE position = {row}", "row {row} is missing"),
    "swap": ("UPDATE audit_log SET position = -position WHERE position IN ({row}, {other});"
             " UPDATE audit_log SET position = CASE position WHEN -{row} THEN {other} ELSE {row} END WHERE position < 0",
             "row {row} was changed"),
    "truncate": ("DELETE FROM audit_log WHERE position >= {row}", "row {row} is missing"),
    "replace": ("DELETE FROM audit_log WHERE position = {row}; INSERT INTO audit_log (position, at, action, outcome, ip, user_agent,"
            " request_id) VALUES ({row}, now(), 'x', 'done', '', '', '')", "row {row} was changed"),
    "drop a head": ("DELETE FROM audit_heads WHERE number = {head}", "head {head} is missing"),
    "change a head": ("UPDATE audit_heads SET sealed_at = sealed_at + interval '1 s' WHERE number = {head}",
                      "head {head} is not what was signed"),
    "change a list": ("UPDATE audit_heads SET digests = set_byte(digests, 20, 255 - get_byte(digests, 20)) WHERE number = {head}",
                      "head {head} has a changed list"),
    "feign age": ("DELETE FROM audit_log WHERE position <= (SELECT last_position FROM audit_heads WHERE number = {head});"
                  " UPDATE audit_heads SET digests = NULL WHERE number <= {head}", "head 1 has lost its rows"),
}


def test_each_change_is_found_and_named(sealed_log, private_stack, mutations):
    """--mutations of them, each in a whole log."""
    sealed_log.stop()
    chance, tables = random.Random(9), ("audit_log", "audit_heads")
    with private_stack.postgres.connect("salus_auth") as database:
        for table in tables:
            database.execute(f"CREATE TABLE whole_{table} AS TABLE {table}")
        rows, heads = ([row[0] for row in database.execute(f"SELECT {key} FROM {table} ORDER BY 1").fetchall()]
                       for table, key in zip(tables, ("position", "number"), strict=True))
        for name in itertools.islice(itertools.cycle(MUTATIONS), mutations):
            (row, other), head = sorted(chance.sample(rows[:-1], 2)), chance.choice(heads[:-1])
            sql, expected = (text.format(row=row, other=other, head=head) for text in MUTATIONS[name])
            for statement in sql.split(";"):
                database.execute(statement)
            status, said = verify(sealed_log)
            assert status == 1 and expected in said, (sql, said)
            for table in tables:
                database.execute(f"TRUNCATE {table}")
                database.execute(f"INSERT INTO {table} TABLE whole_{table}")
    assert verify(sealed_log)[0] == 0


def test_a_log_that_was_cut_off_is_found_by_a_head_from_elsewhere(sealed_log, private_stack):
    auth = sealed_log
    head = re.search(r"newest head (\d+:[0-9a-f]{64})", verify(auth)[1])[1]
    auth.stop()
    assert verify(auth, head)[0] == 0
    with private_stack.postgres.connect("salus_auth") as database:
        database.execute("DELETE FROM audit_heads WHERE number = (SELECT max(number) FROM audit_heads)")
        database.execute("DELETE FROM audit_log WHERE position > (SELECT max(last_position) FROM audit_heads)")
    assert verify(auth)[0] == 0, "by itself the log is whole"
    status, said = verify(auth, head)
    assert status == 1 and "was cut off after head" in said, said
    assert verify(auth, "7:x")[0] == 2


def test_a_running_sealer_tells_that_heads_are_gone(sealed_log, private_stack):
    with private_stack.postgres.connect("salus_auth") as database:
        database.execute("DELETE FROM audit_heads")
    client.register(sealed_log.url)
    eventually(lambda: sealed_log.metric("salus_audit_truncated_total") > 0, within=10)
    assert "the audit log was cut off" in sealed_log.log_text()


def test_another_secret_signs_nothing(sealed_log):
    assert verify(sealed_log)[0] == 0
    sealed_log.settings["SALUS_PASSWORD_PEPPER"] = "x" * 40
    status, said = verify(sealed_log)
    assert status == 1 and "head 1 is not what was signed" in said, said


def test_what_is_old_goes(sealed_log, private_stack):
    """As far as the heads say all was sealed 40 days ago: the rows go, and of the heads the newest stays. That the chain then
    holds is shown in audit_chain_test.c, where the clock can be set."""
    sealed_log.stop()
    with private_stack.postgres.connect("salus_auth") as database:
        newest = database.execute("UPDATE audit_heads SET sealed_at = sealed_at - interval '40 days' RETURNING number").fetchall()
        assert database.execute("SELECT audit_forget(interval '50 days')").fetchone() == (False,)
        assert database.execute("SELECT count(*) > 50 FROM audit_log").fetchone() == (True,)
        database.execute("SELECT audit_forget(interval '30 days')")
        assert database.execute("SELECT count(*) FROM audit_log").fetchone() == (0,)
        left = database.execute("SELECT number, digests IS NULL FROM audit_heads").fetchall()
        assert left == [(max(number for number, in newest), True)]
    assert "is not what was signed" in verify(sealed_log)[1], "the time of a head is part of what is signed"


def test_kills_leave_no_effect_without_its_row(private_stack, restarts):
    """--restarts: kill -9 of the daemon in the middle of refreshes, sign-ins and sign-outs: as many rows as effects, and a whole
    chain."""
    auth = private_stack.daemon("auth", SALUS_AUDIT_SEAL_EVERY="50ms")
    chance = random.Random(9)

    def kill():
        time.sleep(chance.uniform(0, 0.01))
        auth.kill()

    for _ in range(restarts):
        shots = []
        for somebody in [client.register(auth.url) for _ in range(4)]:
            shots += [Shot(auth, "/v1/auth/refresh", {"refresh_token": somebody.tokens["refresh_token"]}) for _ in range(3)]
            shots += [Shot(auth, "/v1/auth/login", {"email": somebody.email, "password": PASSWORD}) for _ in range(3)]
            other = log_in(auth.url, somebody).json()
            shots += [Shot(auth, "/v1/auth/refresh", {"refresh_token": other["refresh_token"]}),
                      Shot(auth, "/v1/auth/logout", Authorization=f"Bearer {other['access_token']}")]
        chance.shuffle(shots)
        fire(shots, chance.randrange(len(shots) // 4, len(shots)), kill)
        auth.start()
    effects = private_stack.postgres.rows("salus_auth", "SELECT sum(generation - 1), count(*), count(ended_at) FROM sessions")[0]
    rows = private_stack.postgres.rows(
        "salus_auth", "SELECT count(*) FILTER (WHERE action = 'session.refresh' AND reason IS NULL),"
        " count(*) FILTER (WHERE action IN ('account.create', 'login.password') AND method <> 'settings' AND outcome = 'done'),"
        " count(*) FILTER (WHERE action = 'session.end' AND outcome = 'done') FROM audit_log")[0]
    assert effects == rows and min(rows) > 0
    eventually(lambda: sealed(private_stack), within=10)
    assert verify(auth)[0] == 0
