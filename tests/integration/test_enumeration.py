"""No reply tells whether an address has an account: status, headers and every byte are the same. Times: scripts/bench enumeration."""

import pytest
from support.accounts import REQUESTS, STATES, USELESS, address_of, login, shown
from support.client import PASSWORD, Api, new_email


@pytest.fixture(scope="module")
def confirming(stack, auth):
    return stack.daemon("auth", name="auth-tells-nothing", SALUS_EMAIL_VERIFICATION=None, SALUS_MAIL_NETWORK_LIMIT="1000000",
                        SALUS_MAIL_ACCOUNT_LIMIT="2")


@pytest.fixture(scope="module")
def addresses(stack, auth, confirming):
    return lambda state: address_of(state, stack, auth.url, confirming.url)


def ask(api, request, email):
    path, body = request
    return api.post(path, json=body(email), headers={"X-Forwarded-For": "198.51.100.80"})


@pytest.mark.parametrize("name", REQUESTS)
def test_all_states_look_alike(confirming, addresses, name):
    with Api(confirming.url) as api:
        answers = {state: shown(ask(api, REQUESTS[name], addresses(state))) for state in STATES}
    assert len(set(map(str, answers.values()))) == 1, answers
    expected = 422 if "empty" in name or "257" in name else 401 if name.startswith("login") else 202
    assert {answer[0] for answer in answers.values()} == {expected}


def test_a_right_password_that_is_of_no_use(confirming, addresses):
    with Api(confirming.url) as api:
        answers = {state: shown(ask(api, login(PASSWORD), addresses(state))) for state in sorted(USELESS)}
        answers["unknown"] = shown(ask(api, login(PASSWORD), new_email()))
        assert len(set(map(str, answers.values()))) == 1, answers
        assert ask(api, login(PASSWORD), addresses("active")).status_code == 200, "the password was the right one"


@pytest.mark.parametrize("name", ["forgot", "resend", "register"])
def test_a_used_up_limit_looks_like_none(confirming, addresses, name):
    with Api(confirming.url) as api:
        answers = []
        for state in STATES:
            email = addresses(state)
            answers += [str(shown(ask(api, REQUESTS[name], email))) for _ in range(5)]
    assert len(set(answers)) == 1, answers


def test_a_lock_says_nothing_of_an_account(confirming, addresses):
    with Api(confirming.url) as api:
        locked = []
        for state in STATES:
            email = addresses(state)
            answers = [ask(api, REQUESTS["login"], email) for _ in range(12)]
            assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
            status, headers, body = shown(answers[-1])
            assert 0 < int(headers.pop("retry-after")) <= 900
            locked.append(str((status, headers, body)))
    assert len(set(locked)) == 1, locked
