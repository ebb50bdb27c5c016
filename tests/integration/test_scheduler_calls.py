"""What the companion asks of the scheduler: schedules made, listed and ended, reminders answered."""

from datetime import UTC, datetime, timedelta

import pytest
from support.rpc import Caller, new_key
from support.waiting import eventually


@pytest.fixture
def chat(stack, scheduler):
    caller = Caller(stack.bus)
    yield caller
    caller.close()


def known(planner, **about):
    made = planner(**about)
    zone = about.get("time_zone", "UTC")
    eventually(lambda: made.api.post("/v1/schedules/preview", json={"cron_expression": "0 0 * * *"}).json()["timezone"] == zone)
    return made


def create(chat, person, *, key: str | None = None, **about):
    return chat.call("schedule.create.v1", {"user_id": person.id, "kind": "cron", "expression": "0 8 * * 1-5", "title": "take my meds",
                                            "language": "en"} | about, key=key or new_key(), service="scheduler")


def soon() -> str:
    return (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_remind_me_every_weekday_at_8(chat, planner):
    dana = known(planner, time_zone="Asia/Jerusalem", language="he")
    key = new_key()
    reply = create(chat, dana, key=key, language="he", title="לקחת את התרופות")
    assert reply.code == "ok", reply
    made = reply.data["schedule"]
    assert (made["kind"], made["expression"], made["title"]) == ("cron", "0 8 * * 1-5", "לקחת את התרופות")
    assert made["follow_user"] and made["timezone"] == "Asia/Jerusalem" and made["is_active"] and made["next_run_at"]
    assert made["explanation"] == "בשעה 08:00, ביום שני עד שישי"
    again = create(chat, dana, key=key, language="he", title="לקחת את התרופות")
    assert again.data == reply.data, "the same key makes one schedule"
    assert create(chat, dana, key=key, title="other").code == "idempotency_conflict"
    assert [item["id"] for item in dana.api.get("/v1/schedules").json()["items"]] == [made["id"]]
    assert chat.ok("schedule.list.v1", {"user_id": dana.id}, service="scheduler")["items"] == [made]


@pytest.mark.parametrize(("about", "code"), [
    ({"expression": "0 25 * * *"}, "invalid"), ({"expression": "0 0 30 2 *"}, "never_fires"),
    ({"kind": "every", "expression": "5s"}, "invalid"),
    ({"kind": "at", "expression": "2001-01-01T00:00:00Z"}, "never_fires"), ({"reminder_method": "sms"}, "invalid"),
    ({"timezone": "Mars/Olympus"}, "invalid"), ({"title": "a\nb"}, "invalid")])
def test_what_is_refused(chat, planner, about, code):
    assert create(chat, planner(), **about).code == code


def test_kinds_and_cancelling(chat, planner):
    dana, eve = known(planner), planner()
    every = create(chat, dana, kind="every", expression="8h", title="Drink Water").data["schedule"]
    once = create(chat, dana, kind="at", expression="2099-01-01T08:00:00Z", title="call mum").data["schedule"]
    assert (every["kind"], every["expression"]) == ("every", "8h") and (once["kind"], once["expression"]) == ("at", "2099-01-01T08:00:00Z")
    cancel = lambda **which: chat.call("schedule.cancel.v1", {"user_id": dana.id} | which, key=new_key(), service="scheduler")  # noqa: E731
    assert cancel(query="unicorns").data == {"items": []}
    assert cancel().code == "invalid" and cancel(id=every["id"], query="water").code == "invalid"
    ended, = cancel(query="drink water").data["items"]
    assert ended["id"] == every["id"] and not ended["is_active"]
    not_hers = chat.call("schedule.cancel.v1", {"user_id": eve.id, "id": once["id"]}, key=new_key(), service="scheduler")
    assert not_hers.data == {"items": []}
    assert [item["id"] for item in chat.ok("schedule.list.v1", {"user_id": dana.id}, service="scheduler")["items"]] == [once["id"]]
    assert cancel(id=once["id"]).data["items"][0]["title"] == "call mum"


def test_what_waits_for_an_answer(chat, planner, mail):
    """A reminder that ran for the last time is listed until it is answered; of two, the one that is named is answered."""
    dana = known(planner)
    listed = lambda: {item["id"]: item.get("waiting_occurrence_id") for item in  # noqa: E731
                      chat.ok("schedule.list.v1", {"user_id": dana.id}, service="scheduler")["items"]}
    daily = create(chat, dana).data["schedule"]["id"]
    first, second = (create(chat, dana, kind="at", expression=soon()).data["schedule"]["id"] for _ in range(2))
    waiting = eventually(lambda: (lambda found: found[first] and found[second] and found)(listed()), within=20)
    assert waiting[daily] is None
    confirm = lambda: chat.call("reminder.confirm.v1", {"user_id": dana.id, "answer": "done", "schedule_id": first},  # noqa: E731
                                key=new_key(), service="scheduler")
    answer = confirm()
    assert (answer.data["occurrence_id"], answer.data["schedule_id"]) == (waiting[first], first)
    assert listed() == {daily: None, second: waiting[second]}
    assert confirm().code == "not_found"


def test_i_took_it(chat, planner, mail):
    dana = known(planner)
    medication = "019aa000-0000-7000-8000-0000000000aa"
    confirm = lambda key=None, **more: chat.call("reminder.confirm.v1", {"user_id": dana.id, "answer": "done"} | more,  # noqa: E731
                                                 key=key or new_key(), service="scheduler")
    assert confirm().code == "not_found"
    made = create(chat, dana, kind="at", expression=soon(), medication_id=medication).data["schedule"]
    eventually(lambda: mail.sink.messages(dana.email), within=20)
    key = new_key()
    reply = confirm(key)
    assert reply.code == "ok", reply
    assert (reply.data["schedule_id"], reply.data["title"], reply.data["medication_id"]) == (made["id"], "take my meds", medication)
    assert reply.data["state"] == "acked" and not reply.data["known"]
    assert confirm(key).data == reply.data
    assert confirm().code == "not_found", "nothing waits any more"
    named = confirm(occurrence_id=reply.data["occurrence_id"])
    assert named.data["known"]
    assert confirm(occurrence_id=reply.data["occurrence_id"], answer="skipped").code == "conflict"
    assert dana.api.get(f"/v1/occurrences/{reply.data['occurrence_id']}").json()["ack"] == "done"


def test_which_reminder_waits(chat, planner, mail):
    """A list says which schedule waits for an answer, also of one that ran once; answered by its own id, it waits no more."""
    dana = known(planner)

    def waiting() -> set[str]:
        items = chat.ok("schedule.list.v1", {"user_id": dana.id}, service="scheduler")["items"]
        return {item["id"] for item in items if "waiting_occurrence_id" in item}

    def confirm(key=None, **more):
        return chat.call("reminder.confirm.v1", {"user_id": dana.id, "answer": "done"} | more, key=key or new_key(), service="scheduler")
    first, second = (create(chat, dana, kind="at", expression=soon(), title=title).data["schedule"]["id"] for title in ("one", "two"))
    assert waiting() == set()
    assert confirm(schedule_id=first).code == "not_found"
    eventually(lambda: waiting() == {first, second}, within=20, what="both wait")
    done = confirm(schedule_id=first)
    assert (done.data["schedule_id"], done.data["title"], done.data["known"]) == (first, "one", False)
    assert waiting() == {second}
    assert confirm(schedule_id=first).code == "not_found" and waiting() == {second}
    assert confirm(occurrence_id=done.data["occurrence_id"]).data["known"]
    snoozed = confirm(schedule_id=second, answer="snoozed", snooze_minutes=5)
    assert snoozed.code == "ok" and waiting() == {second}, "put off is no answer yet"
    assert confirm().data["schedule_id"] == second and waiting() == set()
