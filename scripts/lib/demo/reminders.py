"""Chapter 9: a reminder that is due, from the schedule to the mailbox and back to the day's summary."""

import os
from datetime import UTC, datetime, timedelta

from companion import Talk
from house import DATA, bus_events, mails_of, read, until
from people import Person
from tell import chapter, expect, expect_status, note


def chapter_reminder(person: Person, talks: tuple[Talk, Talk]):
    chapter(9, "A reminder")
    for talk, words in zip(talks, ("cancel the reminder to take my meds", "בטל את התזכורת לקחת את התרופות")):
        reply = talk.say(words)
        left = [it["name"] for it in talk.api.get("/v1/schedules").json["items"] if it["is_active"]]
        expect(reply.tools[-1] == ("cancel_reminder", "done") and left == [], "the reminder of every weekday is cancelled in words", left)
    soon = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = person.api.post("/v1/schedules", {
        "name": "Metformin with breakfast", "cron_expression": f"@at {soon}",
        "medication_name": "Metformin", "dose": {"value": 500, "unit": "mg"}})
    expect_status(made, 201, f"{person.name} is to be reminded of her Metformin at {soon}, which is in two seconds")
    runs = f"/v1/schedules/{made.json['id']}/runs"
    until(lambda: [run for run in person.api.get(runs).json["items"] if run["deliveries"][0]["state"] == "sent"],
          "its time has come, and the mail server has taken the message")
    if "SALUS_SMTP_URL" in os.environ:
        note("(SALUS_SMTP_URL names a mail server of yours, so the mail is not looked for here)")
    else:
        mail(person)
    until(lambda: bus_events("scheduler", "reminder.delivered.v1", person.id), "reminder.delivered is on the bus")
    confirm(person, runs)


def mail(person: Person):
    files = [path for path in mails_of(person.email) if "Reminder" in read(path)["Subject"]]
    expect(len(files) == 1, f"one reminder is in the sink: {DATA / 'mail'}/{files[0].stem if files else '?'}.txt", files)
    message = read(files[0])
    text = message.get_content()
    note(f"  To: {message['To']} · Subject: {message['Subject']}")
    note(f"  {' · '.join(line for line in text.splitlines() if line)}")
    expect("Metformin with breakfast" in message["Subject"] and "500 mg" in text and "America/New_York" in text,
           "it says what to take, how much, and when it was planned on her clock", text)


def confirm(person: Person, runs: str):
    reply = Talk(person).say("I took my meds")
    expect(reply.tools == [("record_dose", "done"), ("confirm_reminder", "done")],
           "the dose is recorded and the reminder confirmed", reply.tools)
    (run,) = person.api.get(runs).json["items"]
    expect(run["ack"] == "done", "the scheduler knows that it was done", run)
    (dose,) = person.api.get("/v1/health-events?event_type=medication").json["items"]
    day = person.api.get(f"/v1/days/{dose['local_date']}/summary").json
    what = dose["event_data"]
    expect((what["name"], what["dose"]) == ("Metformin", {"value": 500, "unit": "mg"}) and day["doses"]["taken"] == 1,
           f"the summary of {dose['local_date']} shows one dose taken; it was {what['name']}, {what['dose']['value']} mg", (dose, day))
