"""The main job of Salus in eleven chapters. scripts/demo runs it; tests/scenario/test_demo.py too."""

import os
import re
import time
import uuid
from datetime import datetime, timedelta, UTC

import companion
import imports
import outages
import reminders
from client import Api
from house import DATA, SECOND, mails_of, read, second_instance, until
from lockout import lockout
from people import HOME, PASSWORD, PORT, Person, register
from tell import chapter, expect, expect_status, note, saw

ABROAD = "Europe/Lisbon"
JSON_PATCH = "application/merge-patch+json"


def an_account() -> Person:
    chapter(1, "An account")
    dana = register("Dana")
    answer = Api(PORT).post("/v1/auth/login", {"email": dana.email, "password": PASSWORD})
    expect_status(answer, 200, "she signs in with her password")
    dana.api.token = answer.json["access_token"]
    answer = dana.api.ask("PATCH", "/v1/me", f'{{"language": "he", "time_zone": "{ABROAD}"}}'.encode(),
                          {"Content-Type": JSON_PATCH})
    expect_status(answer, 200, f"she sets her language to Hebrew and, just landed, her time zone from {HOME} to {ABROAD}")
    me = dana.api.get("/v1/me").json
    expect((me["language"], me["time_zone"]) == ("he", ABROAD), "and reads them back", me)
    confirmation(dana)
    lockout()
    return dana


def confirmation(dana: Person):
    if "SALUS_SMTP_URL" in os.environ:
        note("(SALUS_SMTP_URL names a mail server of yours, so the mail is not looked for here)")
        return
    mail, = until(lambda: mails_of(dana.email), f"a mail asks her to confirm her address: {DATA / 'mail'}/…-{dana.email}.txt")
    code = re.search(r"^([\w-]{43})\r?$", read(mail).get_content(), re.MULTILINE)[1]
    expect_status(Api(PORT).post("/v1/auth/verify-email", {"token": code}), 204, "she confirms it with the code of the mail")
    expect_status(Api(PORT).post("/v1/auth/verify-email", {"token": code}), 400, "the code works once")


def until_known(dana: Person):
    """The health record hears of a person over the bus; her zone decides about her days."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    deadline = time.monotonic() + 15
    while True:
        answer = dana.api.get(f"/v1/days/{tomorrow}/summary")
        if answer.status == 200 and answer.json["time_zone"] == ABROAD:
            return
        if time.monotonic() > deadline:
            expect(False, "the health record knows her time zone", answer.body)
        time.sleep(0.05)


def entries(dana: Person) -> dict:
    chapter(3, "A day's entries")
    until_known(dana)
    saw("the health record has heard of her new time zone over the bus")
    # Two days ago she was at home, where 23:30 UTC was already the next day.
    late = (datetime.now(UTC) - timedelta(days=2)).replace(hour=23, minute=30, second=0, microsecond=0)
    her_day = (late + timedelta(hours=3)).strftime("%Y-%m-%d")
    mood = record(dana, "mood", "daily_checkin", late, {"mood": "tired but content", "energy_level": 4}, "tired but content")
    symptom = record(dana, "symptom", "general", late, {"symptoms": ["headache"], "severity": 6}, "headache, 6 of 10")
    dose = record(dana, "medication", "scheduled", late, {
        "name": "Ibuprofen", "status": "taken", "dose": {"value": 400, "unit": "mg"}}, "400 mg of Ibuprofen, taken")
    expect(mood["local_date"] == her_day, f"23:30 UTC two days ago counts for {her_day}, the day it was where she was", mood)
    timeline(dana, late, mood, symptom, dose)
    summary = dana.api.get(f"/v1/days/{her_day}/summary")
    expect_status(summary, 200, f"she reads the summary of {her_day}")
    day = summary.json
    expect(day["mood"]["latest"] == "tired but content" and day["doses"]["taken"] >= 1
           and "headache" in [item["symptom"] for item in day["symptoms"]], "mood, symptom and dose are in it", day)
    changes(dana, mood, symptom)
    return mood


def record(dana: Person, kind: str, subtype: str, at: datetime, data: dict, told: str) -> dict:
    event = {"event_type": kind, "event_subtype": subtype, "occurred_at": at.isoformat(), "event_data": data}
    key = str(uuid.uuid4())
    answer = dana.api.post("/v1/health-events", event, Idempotency_Key=key)
    expect_status(answer, 201, f"she records a {kind}: {told}")
    if kind == "medication":
        again = dana.api.post("/v1/health-events", event, Idempotency_Key=key)
        expect(again.status == 200 and again.json["id"] == answer.json["id"],
               "her phone sends the dose twice; it is stored once", again.body)
    return answer.json


def timeline(dana: Person, at: datetime, *events: dict):
    moods = dana.api.get("/v1/health-events?event_type=mood")
    expect(moods.status == 200 and {item["event_type"] for item in moods.json["items"]} == {"mood"},
           "the timeline by type shows moods only", moods.body)
    start, end = ((at + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ") for minutes in (-1, 1))
    found, cursor = set(), ""
    while True:
        page = dana.api.get(f"/v1/health-events?from={start}&to={end}&limit=2{cursor}")
        expect_status(page, 200, "the timeline by time, two a page") if not found else None
        found |= {item["id"] for item in page.json["items"]}
        if not page.json.get("next_cursor"):
            break
        cursor = f"&cursor={page.json['next_cursor']}"
    expect({event["id"] for event in events} <= found, "has all three", found)


def changes(dana: Person, mood: dict, symptom: dict):
    path = f"/v1/health-events/{mood['id']}"
    better = {key: mood[key] for key in ("event_type", "event_subtype", "occurred_at")}
    better["event_data"] = mood["event_data"] | {"mood": "content"}
    answer = dana.api.post(f"{path}/corrections", {"event": better, "reason": "the coffee helped"}, If_Match='"1"')
    expect_status(answer, 201, "she corrects the mood to “content”")
    late = dana.api.post(f"{path}/corrections", {"event": better, "reason": "from an old page"}, If_Match='"1"')
    expect_status(late, 412, "a second correction of the version that is gone is refused")
    answer = dana.api.post(f"/v1/health-events/{symptom['id']}/void", {"reason": "that was somebody else"})
    expect_status(answer, 201, "she voids the symptom")
    history = dana.api.get(f"{path}/history").json["items"]
    expect([(item["version"], item["status"]) for item in history] == [(2, "amended"), (1, "recorded")],
           "the history of the mood shows both versions, newest first", history)
    history = dana.api.get(f"/v1/health-events/{symptom['id']}/history").json["items"]
    expect([item["status"] for item in history] == ["entered_in_error", "recorded"],
           "the history of the symptom shows that it was voided", history)


def strangers(dana: Person, mood: dict):
    chapter(4, "What others see")
    eve = register("Eve")
    for method, path, body in [
        ("GET", f"/v1/health-events/{mood['id']}", None),
        ("GET", f"/v1/health-events/{mood['id']}/history", None),
        ("POST", f"/v1/health-events/{mood['id']}/void", {"reason": "mischief"}),
        ("GET", f"/v1/imports/{imports.first_import_id}", None),
    ]:
        answer = eve.api.ask(method, path, body)
        expect_status(answer, 404, f"for Eve there is no {method} {path.replace(mood['id'], '…')}")
    mine = eve.api.get("/v1/health-events").json["items"]
    expect(mine == [], "her own timeline is empty", mine)
    expired(dana)
    answer = dana.api.post("/v1/health-events", {
        "event_type": "vital", "event_subtype": "heart_rate", "event_data": {"value": "seventy", "unit": "/min"}})
    pointers = [fault["pointer"] for fault in answer.json.get("errors", [])]
    expect(answer.status == 422 and pointers == ["/event_data/value"],
           f"a heart rate of \"seventy\" is refused, and the answer points at {', '.join(pointers)}", answer.body)


def expired(dana: Person):
    """A token that lives one second, from a second instance of auth beside the first."""
    with second_instance("auth", SALUS_ACCESS_TOKEN_LIFE="1s"):
        token = Api(SECOND).post("/v1/auth/login", {"email": dana.email, "password": PASSWORD}).json["access_token"]
    short = Api(PORT, token)
    deadline = time.monotonic() + 90
    while (answer := short.get("/v1/health-events")).status == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    expect(answer.status == 401 and answer.json["code"] == "token_expired",
           "a token that lives one second is refused when it is over: 401 token_expired", answer.body)


def main():
    note(f"Salus on http://127.0.0.1:{PORT}; every line below is a real request through the gateway.")
    dana = an_account()
    imports.chapter_import(dana)
    mood = entries(dana)
    strangers(dana, mood)
    imports.chapter_power_cut()
    maya, yael = companion.chapter_talk()
    companion.chapter_memory(maya, yael)
    companion.chapter_crisis(maya.person, yael.person)
    reminders.chapter_reminder(maya.person, (maya, yael))
    companion.chapter_cut(maya.person)
    outages.chapter_outages(maya.person)
    print("\nAll of it happened as told. Look around: "
          f"http://127.0.0.1:{PORT}/ · scripts/down stops everything, scripts/down --purge removes the data as well.")


main()
