"""Schedules as their owners see them: made, read, changed, previewed, and answered."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.client import Api, problem
from support.waiting import eventually

NOWHERE = "019aa000-0000-7000-8000-000000000000"


def rfc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def soon(seconds: float = 3) -> str:
    """An expression that fires once, in a moment."""
    return "@at " + rfc(datetime.now(UTC) + timedelta(seconds=seconds))


def patch(api: Api, path: str, change: dict, **headers: str):
    return api.patch(path, content=json.dumps(change), headers={"Content-Type": "application/merge-patch+json", **headers})


def make(api: Api, **about) -> dict:
    answer = api.post("/v1/schedules", json={"name": "take my meds", "cron_expression": "0 8 * * 1-5"} | about)
    assert answer.status_code == 201, answer.text
    return answer.json()


def known(planner, **about):
    """Somebody whom the scheduler has heard of."""
    made = planner(**about)
    zone = about.get("time_zone", "UTC")
    eventually(lambda: made.api.post("/v1/schedules/preview", json={"cron_expression": "0 0 * * *"}).json()["timezone"] == zone,
               what="the account is known")
    return made


def fired(api: Api, schedule: dict, *, count: int = 1) -> list[dict]:
    def enough():
        items = api.get(f"/v1/schedules/{schedule['id']}/runs").json()["items"]
        return items if len(items) >= count else None

    return eventually(enough, within=20, what=f"{count} runs")


# ---- making and reading

def test_a_schedule_is_made_and_read(planner):
    dana = known(planner, time_zone="Asia/Jerusalem")
    answer = dana.api.post("/v1/schedules", json={
        "name": "לקחת את התרופה", "cron_expression": "0 8 * * MON-FRI", "description": "with water", "medication_name": "Ramipril",
        "dose": {"value": 2.5, "unit": "mg"}, "custom_metadata": {"color": "blue"}, "assistant_id": "a1", "context_summary": "morning"})
    assert answer.status_code == 201 and answer.headers["etag"] == '"1"', answer.text
    made = answer.json()
    assert made["follow_user"] and made["timezone"] == "Asia/Jerusalem" and made["is_active"]
    assert (made["schedule_type"], made["reminder_method"]) == ("reminder", "email")
    assert (made["misfire"], made["max_lateness_s"], made["catchup_limit"]) == ("fire_once", 3600, 10)
    assert made["explanation"]["en"] == "at 08:00, on Monday to Friday"
    assert made["explanation"]["he"] == "בשעה 08:00, ביום שני עד שישי"
    assert made["dose"] == {"value": 2.5, "unit": "mg"} and made["custom_metadata"] == {"color": "blue"}
    read = dana.api.get(f"/v1/schedules/{made['id']}")
    assert read.json() == made and read.headers["etag"] == '"1"'
    assert dana.api.get(f"/v1/schedules/{made['id']}", headers={"If-None-Match": '"1"'}).status_code == 304
    assert dana.api.get("/v1/schedules").json()["items"] == [made]


def test_next_run_follows_the_person(planner, stack):
    dana = known(planner, time_zone="Asia/Jerusalem")
    stream = stack.events("scheduler")
    follows = make(dana.api, cron_expression="0 8 1 1 *")
    pinned = make(dana.api, cron_expression="0 8 1 1 *", timezone="Asia/Jerusalem")
    assert follows["next_run_at"] == pinned["next_run_at"] and follows["next_run_at"].endswith("T06:00:00Z")
    assert not pinned["follow_user"]
    assert patch(dana.auth, "/v1/me", {"time_zone": "America/New_York"}).status_code == 200
    eventually(lambda: dana.api.get(f"/v1/schedules/{follows['id']}").json()["next_run_at"].endswith("T13:00:00Z"))
    assert dana.api.get(f"/v1/schedules/{follows['id']}").json()["timezone"] == "America/New_York"
    assert dana.api.get(f"/v1/schedules/{pinned['id']}").json() == pinned
    told, = stream.wait_for("schedule.rescheduled.v1", dana.id)
    assert told["data"]["schedule_id"] == follows["id"]


def test_one_key_makes_one_schedule(planner):
    dana = planner()
    body = {"name": "once", "cron_expression": "@daily"}
    first = dana.api.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k1"})
    again = dana.api.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k1"})
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    problem(dana.api.post("/v1/schedules", json=body | {"name": "other"}, headers={"Idempotency-Key": "k1"}), 422, "idempotency_conflict")
    assert len(dana.api.get("/v1/schedules").json()["items"]) == 1


def test_a_repeated_request_is_answered_though_its_time_has_passed(planner, stack):
    dana = known(planner)
    body = {"name": "once", "cron_expression": soon(2), "reminder_method": "none"}
    first = dana.api.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k2"})
    eventually(lambda: dana.api.get(f"/v1/schedules/{first.json()['id']}/runs").json()["items"], within=20, what="it has come due")
    again = dana.api.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k2"})
    assert again.status_code == 201 and again.json() == first.json(), again.text
    problem(dana.api.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k3"}), 422, "never_fires")


def test_list_in_pages(planner):
    dana = planner()
    names = [make(dana.api, name=f"s{number}")["name"] for number in range(5)]
    found, cursor = [], None
    while True:
        page = dana.api.get("/v1/schedules", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [item["name"] for item in page["items"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert found == names[::-1]
    problem(dana.api.get("/v1/schedules", params={"cursor": "x"}), 400)


@pytest.mark.parametrize(("change", "code", "pointer"), [
    ({"cron_expression": "60 * * * *"}, "invalid", "/cron_expression"),
    ({"cron_expression": "0 0 30 2 *"}, "never_fires", None),
    ({"cron_expression": "@at 2001-01-01T00:00:00Z"}, "never_fires", None),
    ({"cron_expression": "@reboot"}, "invalid", "/cron_expression"),
    ({"cron_expression": "*" * 257}, "invalid", "/cron_expression"),
    ({"cron_expression": "٠ * * * *"}, "invalid", "/cron_expression"),
    ({"timezone": "Mars/Olympus"}, "invalid", "/timezone"),
    ({"email": "dana@example.org\r\nBcc: eve@example.org"}, "invalid", "/email"),
    ({"name": "take\nmeds"}, "invalid", "/name"),
    ({"reminder_method": "sms"}, "invalid", "/reminder_method"),
    ({"schedule_type": "voice_call"}, "invalid", "/reminder_method"),
    ({"phone_number": "0501234567"}, "invalid", "/phone_number"),
    ({"phone_number": "+972\r\n501"}, "invalid", "/phone_number"),
    ({"misfire": "sometimes"}, "invalid", "/misfire"),
    ({"unknown": 1}, "invalid", "/unknown"),
])
def test_what_is_refused(planner, change, code, pointer):
    answer = planner().api.post("/v1/schedules", json={"name": "x", "cron_expression": "0 8 * * *"} | change)
    problem(answer, 422, code, pointer)


def test_a_refused_expression_says_where(planner):
    answer = problem(planner().api.post("/v1/schedules", json={"name": "x", "cron_expression": "0 25 * * *"}), 422)
    assert answer["errors"][0]["detail"] == "hour: 25 is above 23 (column 3)"


def test_addresses_are_sealed_in_the_store(planner, stack):
    dana = planner()
    made = make(dana.api, email="other@example.org", phone_number="+972501234567")
    assert (made["email"], made["phone_number"]) == ("other@example.org", "+972501234567")
    row, = stack.postgres.rows("salus_scheduler", "SELECT email, phone_number FROM schedules WHERE id = %s", made["id"])
    assert all(text and "example" not in text and "972" not in text for text in row)
    contact, = eventually(lambda: stack.postgres.rows("salus_scheduler", "SELECT email FROM user_contacts WHERE user_id = %s", dana.id))
    assert contact[0] and "@" not in contact[0]


def test_somebody_elses(planner):
    dana, eve = planner(), planner()
    made = make(dana.api)
    for path in ("", "/runs"):
        problem(eve.api.get(f"/v1/schedules/{made['id']}{path}"), 404)
    problem(patch(eve.api, f"/v1/schedules/{made['id']}", {"name": "mine"}), 404)
    problem(eve.api.delete(f"/v1/schedules/{made['id']}"), 404)
    problem(eve.api.post(f"/v1/schedules/{made['id']}/pause", json={}), 404)
    problem(eve.api.post(f"/v1/schedules/{made['id']}/resume"), 404)
    assert eve.api.get("/v1/schedules").json() == {"items": []}
    assert dana.api.get(f"/v1/schedules/{made['id']}").json() == made


# ---- changing

def test_a_change_moves_the_next_run(planner):
    dana = planner()
    made = make(dana.api, cron_expression="0 8 1 1 *", timezone="UTC")
    answer = patch(dana.api, f"/v1/schedules/{made['id']}", {"cron_expression": "0 9 1 1 *", "description": "new"},
                   **{"If-Match": '"1"'})
    assert answer.status_code == 200 and answer.headers["etag"] == '"2"', answer.text
    assert answer.json()["next_run_at"].endswith("-01-01T09:00:00Z") and answer.json()["description"] == "new"
    problem(patch(dana.api, f"/v1/schedules/{made['id']}", {"name": "x"}, **{"If-Match": '"1"'}), 412)
    cleared = patch(dana.api, f"/v1/schedules/{made['id']}", {"description": None, "timezone": None}).json()
    assert "description" not in cleared and cleared["follow_user"]
    problem(patch(dana.api, f"/v1/schedules/{made['id']}", {"cron_expression": "0 0 31 4 *"}), 422, "never_fires")
    problem(patch(dana.api, f"/v1/schedules/{NOWHERE}", {}), 404)


def test_pause_records_what_is_skipped(planner):
    dana = known(planner)
    made = make(dana.api, cron_expression="* * * * * *", reminder_method="none")
    paused = dana.api.post(f"/v1/schedules/{made['id']}/pause", json={"reason": "holiday"}).json()
    assert not paused["is_active"] and paused["pause_reason"] == "holiday"
    skipped = eventually(lambda: [run for run in fired(dana.api, made) if run["state"] == "skipped_paused"], within=20)
    assert skipped
    resumed = dana.api.post(f"/v1/schedules/{made['id']}/resume").json()
    assert resumed["is_active"] and "pause_reason" not in resumed
    eventually(lambda: fired(dana.api, made)[0]["state"] == "fired", within=20)
    problem(dana.api.post(f"/v1/schedules/{made['id']}/pause", json={"until": "2001-01-01T00:00:00Z"}), 422, pointer="/until")
    dana.api.post(f"/v1/schedules/{made['id']}/pause", json={"until": rfc(datetime.now(UTC) + timedelta(seconds=2))})
    eventually(lambda: dana.api.get(f"/v1/schedules/{made['id']}").json()["is_active"], within=20, what="the pause is over")
    assert dana.api.delete(f"/v1/schedules/{made['id']}").status_code == 204


def test_delete(planner):
    dana = planner()
    made = make(dana.api)
    assert dana.api.delete(f"/v1/schedules/{made['id']}").status_code == 204
    problem(dana.api.get(f"/v1/schedules/{made['id']}"), 404)
    problem(dana.api.delete(f"/v1/schedules/{made['id']}"), 404)


# ---- preview

def test_preview_marks_what_clocks_change(planner):
    answer = planner().api.post("/v1/schedules/preview", json={
        "cron_expression": "30 2 * * *", "timezone": "America/New_York", "start": "2025-03-08T12:00:00Z", "count": 2})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "timezone": "America/New_York", "warnings": [],
        "runs": [{"at": "2025-03-09T07:00:00Z", "local": "2025-03-09T03:00:00-04:00", "adjusted": "gap"},
                 {"at": "2025-03-10T06:30:00Z", "local": "2025-03-10T02:30:00-04:00"}],
        "explanation": {"en": "at 02:30, every day", "he": "בשעה 02:30, בכל יום"}}


@pytest.mark.parametrize(("expression", "warnings", "english"), [
    ("0 0 1 * 1", ["either_day_field"], "at 00:00, on days of the month 1, or on Monday"),
    ("0 0 1 * +1", [], "at 00:00, on days of the month 1, but only if it is also on Monday"),
    ("0 0 */2 * 1", ["either_day_field_with_step"], None),
    ("*/90 * * * *", ["step_beyond_range"], "at minutes 0 of every hour"),
    ("*/5 9-17 * * *", [], "every 5 minutes of the hours 9 to 17, every day"),
    ("0 9 * * 1#1,5L", [], "at 09:00, the first Monday of the month, or the last Friday of the month"),
    ("0 9 LW 1,7 *", [], "at 09:00, the last day from Monday to Friday of the month, in January and July"),
    ("@every 90m", [], "every 1 hours and 30 minutes"),
    ("@at 2099-01-01T08:00:00Z", [], "once, at 2099-01-01T08:00:00Z"),
    ("0 0 30 2 *", [], None),
])
def test_preview_explains(planner, expression, warnings, english):
    answer = planner().api.post("/v1/schedules/preview", json={"cron_expression": expression, "timezone": "UTC"}).json()
    assert answer["warnings"] == warnings
    assert english is None or answer["explanation"]["en"].startswith(english), answer
    assert bool(answer["runs"]) == (expression != "0 0 30 2 *")


# ---- reminders

def test_a_reminder_arrives_and_is_confirmed(planner, mail, stack):
    dana = known(planner, language="he", time_zone="Asia/Jerusalem")
    stream = stack.events("scheduler")
    made = make(dana.api, name="לקחת את התרופה", cron_expression=soon(), medication_name="רמיפריל",
                dose={"value": 2.5, "unit": "mg"}, description="עם מים")
    message, = eventually(lambda: mail.sink.messages(dana.email), within=20, what="the mail")
    run, = fired(dana.api, made)
    assert message["Subject"] == "תזכורת: לקחת את התרופה" and message["Message-ID"] == f"<{run['id']}.0@salus.test>"
    assert message["Content-Language"] == "he" and message["From"] == "Salus <salus@salus.test>"
    text = message.get_content()
    assert "רמיפריל, 2.5 mg" in text and "עם מים" in text and "Asia/Jerusalem" in text
    assert (run["state"], run["medication_name"], run["dose"]) == ("fired", "רמיפריל", {"value": 2.5, "unit": "mg"})
    due, = stream.wait_for("schedule.due.v1", dana.id)
    assert due["data"]["occurrence_id"] == run["id"] and due["data"]["nominal_at"] == run["nominal_at"]
    told, = stream.wait_for("reminder.delivered.v1", dana.id)
    assert told["data"]["occurrence_id"] == run["id"] and told["data"]["attempts"] == 1
    delivery, = dana.api.get(f"/v1/occurrences/{run['id']}").json()["deliveries"]
    assert (delivery["state"], delivery["attempts"]) == ("sent", 1)
    done = dana.api.post(f"/v1/occurrences/{run['id']}/confirm", json={}).json()
    assert done["ack"] == "done" and done["acked_at"]
    assert dana.api.post(f"/v1/occurrences/{run['id']}/confirm", json={}).json() == done
    problem(dana.api.post(f"/v1/occurrences/{run['id']}/skip", json={}), 409)
    problem(dana.api.post(f"/v1/occurrences/{run['id']}/snooze", json={"minutes": 5}), 409)
    ended = dana.api.get(f"/v1/schedules/{made['id']}").json()
    assert not ended["is_active"] and "next_run_at" not in ended and ended["last_run_at"]


def test_an_address_of_its_own(planner, mail):
    dana = known(planner)
    make(dana.api, cron_expression=soon(), email="elsewhere@example.org", name="Ünïcode 🌙")
    message, = eventually(lambda: mail.sink.messages("elsewhere@example.org"), within=20)
    assert message["Subject"] == "Reminder: Ünïcode 🌙"
    assert mail.sink.messages(dana.email) == []


def test_snooze_reminds_again(planner, mail, stack):
    dana = known(planner)
    made = make(dana.api, cron_expression=soon())
    eventually(lambda: mail.sink.messages(dana.email), within=20)
    run, = fired(dana.api, made)
    later = dana.api.post(f"/v1/occurrences/{run['id']}/snooze", json={"minutes": 1}).json()
    assert later["ack"] == "snoozed" and [one["state"] for one in later["deliveries"]] == ["sent", "queued"]
    with stack.postgres.connect("salus_scheduler") as connection:  # a minute is long for a test
        connection.execute("UPDATE delivery_queue SET due_at = now() WHERE delivery_id = %s", (later["deliveries"][1]["id"],))
        connection.execute("NOTIFY salus_schedule")
    first, second = eventually(lambda: (found := mail.sink.messages(dana.email)) and len(found) == 2 and found, within=20)
    assert second["Message-ID"] == f"<{run['id']}.1@salus.test>" != first["Message-ID"]
    assert dana.api.post(f"/v1/occurrences/{run['id']}/confirm", json={}).json()["ack"] == "done"


def test_somebody_elses_occurrence(planner):
    dana, eve = known(planner), planner()
    run, = fired(dana.api, make(dana.api, cron_expression=soon(), reminder_method="none"))
    assert run["deliveries"] == []
    problem(eve.api.get(f"/v1/occurrences/{run['id']}"), 404)
    problem(eve.api.post(f"/v1/occurrences/{run['id']}/confirm", json={}), 404)
    problem(eve.api.post(f"/v1/occurrences/{NOWHERE}/skip", json={}), 404)
    assert dana.api.get("/v1/occurrences").json()["items"][0]["id"] == run["id"]
    problem(dana.api.post(f"/v1/occurrences/{run['id']}/confirm", json={"at": "2099-01-01T00:00:00Z"}), 422, pointer="/at")
    problem(dana.api.post(f"/v1/occurrences/{run['id']}/snooze", json={"minutes": 0}), 422, pointer="/minutes")
    assert dana.api.post(f"/v1/occurrences/{run['id']}/skip", json={"reason": "slept"}).json()["ack"] == "skipped"
