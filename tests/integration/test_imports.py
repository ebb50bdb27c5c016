"""Imports of Apple Health exports: what comes in, what is said of the rest, and what no accident can spoil."""

import base64
import csv
import hashlib
import os
import struct
from datetime import UTC, datetime

import httpx
import pytest
from support.client import problem, register
from support.imports import (SAMPLE, TUS, append, begin, bring_in, ended, look, make_export, manifest_of, same_as, upload,
                             zipped)
from support.waiting import eventually

NOWHERE = "019aa000-0000-7000-8000-000000000000"


def events(api: httpx.Client, **query) -> list[dict]:
    """The whole timeline, page by page."""
    found, cursor = [], None
    while True:
        page = api.get("/v1/health-events", params={"limit": 200, **query, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        found += page.json()["items"]
        cursor = page.json().get("next_cursor")
        if not cursor:
            return found


def document(*records: str) -> str:
    return "<HealthData>\n" + "\n".join(records) + "\n</HealthData>\n"


def heart_rate(value, second: int = 0, **attributes: str) -> str:
    more = "".join(f' {key}="{text}"' for key, text in attributes.items())
    at = f"2024-07-01 08:00:{second:02} +0200"
    return f'<Record type="HKQuantityTypeIdentifierHeartRate" value="{value}" startDate="{at}" endDate="{at}"{more}/>'


# ---- the main way

def test_sample_comes_in_and_is_known_the_second_time(patient):
    dana = patient(time_zone="Europe/Berlin")
    manifest = manifest_of(SAMPLE)
    first = bring_in(dana.health, SAMPLE)
    assert same_as(first, manifest)
    assert (first["added"], first["duplicates"]) == (manifest["added"], manifest["duplicates"])
    assert first["file_name"] == "export.zip" and first["file_size"] == SAMPLE.stat().st_size
    assert first["bytes_done"] <= first["bytes_total"]
    again = bring_in(dana.health, SAMPLE)
    assert same_as(again, manifest) and again["added"] == 0
    assert len(events(dana.health)) == manifest["added"]
    listed = dana.health.get("/v1/imports").json()["items"]
    assert [item["id"] for item in listed] == [again["id"], first["id"]]


@pytest.mark.parametrize("moment", ["UPDATE ON imports", "INSERT ON health_events"])
def test_a_batch_that_the_database_wants_again(stack, patient, tmp_path, moment):
    """What a deadlock does, in the middle of some batches, at each of the two steps of a batch."""
    dana = patient(time_zone="Europe/Berlin")
    manifest = make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "11")
    with stack.postgres.connect("salus_health") as owner:
        owner.execute("CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO salus_health;"
                      "CREATE FUNCTION once_again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " IF nextval('tries') = 5 THEN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;"
                      f"CREATE TRIGGER once_again AFTER {moment} FOR EACH STATEMENT EXECUTE FUNCTION once_again()")
        try:
            job = bring_in(dana.health, tmp_path / "export.zip")
            assert owner.execute("SELECT last_value FROM tries").fetchone()[0] > 5
        finally:
            owner.execute(f"DROP TRIGGER once_again ON {moment.split()[-1]}; DROP FUNCTION once_again; DROP SEQUENCE tries")
    assert same_as(job, manifest) and job["added"] == manifest["added"]
    stored = stack.postgres.rows("salus_health", "SELECT count(*) FROM health_events WHERE user_id = %s", dana.id)
    assert stored == [(manifest["added"],)]


def test_facts_carry_what_the_phone_said(patient, tmp_path):
    dana = patient(time_zone="Asia/Jerusalem")
    text = document(heart_rate(72, sourceName="Watch &amp; Co"),
                    '<Record type="HKQuantityTypeIdentifierOxygenSaturation" unit="%" value="0.97" '
                    'startDate="2024-07-02 01:30:00 +0300" endDate="2024-07-02 01:30:00 +0300"/>')
    assert bring_in(dana.health, zipped(tmp_path, {"export.xml": text}))["added"] == 2
    saturation, rate = events(dana.health)
    assert rate["event_type"] == "vital" and rate["event_subtype"] == "heart_rate"
    assert rate["event_data"] == {"value": 72, "unit": "/min"} and rate["source"] == "apple_health:Watch & Co"
    assert (rate["occurred_at"], rate["time_zone"]) == ("2024-07-01T06:00:00Z", "+02:00")
    assert saturation["event_data"] == {"value": 97, "unit": "%"}
    assert (saturation["local_date"], saturation["time_zone"]) == ("2024-07-02", "Asia/Jerusalem")


def test_report_names_lines(patient, tmp_path):
    dana = patient()
    text = document(heart_rate(72), heart_rate(4000, 1), heart_rate("many", 2), '<Record type="HKQuantityTypeIdentifierWalkingSpeed"/>')
    job = bring_in(dana.health, zipped(tmp_path, {"export.xml": text}))
    assert job["summary"]["not_understood"] == [{"name": "WalkingSpeed", "count": 1, "first_lines": [5]}]
    url = f"/v1/imports/{job['id']}/report"
    page = dana.health.get(url, params={"limit": 1}).json()
    rest = dana.health.get(url, params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert [(item["line"], item["type"]) for item in page["items"] + rest["items"]] == [(3, "HeartRate"), (4, "HeartRate")]
    assert "20 to 300" in page["items"][0]["reason"] and "next_cursor" not in rest


def test_one_request(patient):
    dana = patient()
    answer = dana.health.post("/v1/imports", content=SAMPLE.read_bytes(), headers={"Content-Type": "application/zip"})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/imports/{answer.json()['id']}"
    assert same_as(ended(dana.health, answer.json()["id"]), manifest_of(SAMPLE))
    problem(dana.health.post("/v1/imports", content=b"x", headers={"Content-Type": "text/plain"}), 415)


def test_the_person_hears_of_it_once_a_chunk(patient, stack):
    dana = patient()
    stream = stack.events("main-health")
    job = bring_in(dana.health, SAMPLE)
    told, = stream.wait_for("health.updated.v1", dana.id)
    assert job["added"] <= 4000 and told["data"]["count"] == job["added"]


# ---- names and shapes of archives

@pytest.mark.parametrize("name", ["export.xml", "apple_health_export/export.xml", "apple_health_export/exportación.xml",
                                  "Export/Exportieren.XML", "apple_health_export/ייצוא.xml", "../../etc/export.xml"])
def test_document_is_found_by_what_it_is(patient, tmp_path, name):
    dana = patient()
    file = zipped(tmp_path, {"apple_health_export/export_cda.xml": "<ClinicalDocument/>", name: document(heart_rate(72))})
    assert bring_in(dana.health, file)["added"] == 1


def test_zip64(patient, tmp_path):
    dana = patient(time_zone="Europe/Berlin")
    manifest = make_export(tmp_path / "large.zip", "--records", "300", "--zip64", "--seed", "7")
    assert same_as(bring_in(dana.health, tmp_path / "large.zip"), manifest)


def test_plain_document(patient):
    dana = patient()
    assert bring_in(dana.health, document(heart_rate(72)).encode())["added"] == 1


# ---- bad input

def encrypted(folder) -> bytes:
    """An archive whose entry says that it is encrypted."""
    content = bytearray(zipped(folder, {"export.xml": document(heart_rate(72))}).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def damaged(folder) -> bytes:
    content = bytearray(SAMPLE.read_bytes())
    content[20000:20100] = b"\0" * 100
    return bytes(content)


def bomb(folder) -> bytes:
    return zipped(folder, {"export.xml": "<HealthData>" + " " * 50_000_000}).read_bytes()


def crowd(folder) -> bytes:
    """An archive whose end record claims more entries than anybody has."""
    content = bytearray(zipped(folder, {"export.xml": document()}).read_bytes())
    end = content.index(b"PK\x05\x06")
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(content) - 22, 1)
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 10**9, 10**9, 0, 0)
    return bytes(content[:end] + record + locator + content[end:])


def entity_bomb(folder) -> bytes:
    lots = "".join(f'<!ENTITY e{i} "{"&e" + str(i - 1) + ";" if i else "ha"}{"&e" + str(i - 1) + ";" if i else ""}">' for i in range(40))
    text = f"<!DOCTYPE HealthData [{lots}]>\n" + document(heart_rate(72, sourceName="&e39;"))
    return zipped(folder, {"export.xml": text}).read_bytes()


@pytest.mark.parametrize("make, code", [
    (lambda folder: b"this is no archive", "import_not_apple"),
    (lambda folder: zipped(folder, {"notes.txt": "x"}).read_bytes(), "import_not_apple"),
    (lambda folder: zipped(folder, {"export.xml": "<ClinicalDocument/>"}).read_bytes(), "import_not_apple"),
    (lambda folder: SAMPLE.read_bytes()[:-3000], "import_broken"),
    (damaged, "import_broken"),
    (lambda folder: document(heart_rate(72)).encode()[:-20], "import_broken"),
    (encrypted, "import_encrypted"),
    (bomb, "import_too_large"),
    (crowd, "import_too_large"),
    (lambda folder: ("<!DOCTYPE HealthData [" + "x" * 2_000_000).encode(), "import_too_large"),
])
def test_what_is_no_good_is_said(patient, tmp_path, make, code):
    dana = patient()
    job = bring_in(dana.health, make(tmp_path))
    assert job["state"] == "failed" and job["problem"]["code"] == code, job
    assert job["finished_at"]
    assert len(events(dana.health)) == job["added"]
    # and the next one works
    assert bring_in(dana.health, document(heart_rate(72, 59, sourceName="after")).encode())["added"] == 1


def test_entity_bomb_is_read_past(patient, tmp_path):
    dana = patient()
    job = bring_in(dana.health, entity_bomb(tmp_path))
    assert job["state"] == "done" and job["added"] == 1
    assert events(dana.health)[0]["source"] == "apple_health:&e39;"


# ---- whose it is

def test_other_people_see_nothing(patient):
    dana, eve = patient(), patient()
    job = bring_in(dana.health, SAMPLE)
    for path in (f"/v1/imports/{job['id']}", f"/v1/imports/{job['id']}/report", f"/v1/imports/{NOWHERE}"):
        problem(eve.health.get(path), 404, "not_found")
    problem(eve.health.delete(f"/v1/imports/{job['id']}"), 404)
    assert eve.health.get("/v1/imports").json()["items"] == []
    assert look(dana.health, job["id"])["state"] == "done"


def test_uploads_are_private_too(patient):
    dana, eve = patient(), patient()
    path = begin(dana.health, 100)
    problem(append(eve.health, path, 0, b"x"), 404)
    assert eve.health.head(path, headers=TUS).status_code == 404
    assert dana.health.head(path, headers=TUS).headers["upload-offset"] == "0"


def test_without_a_token(health):
    with httpx.Client(base_url=health.url) as nobody:
        problem(nobody.get("/v1/imports"), 401)
        problem(nobody.post("/v1/imports/uploads", headers={**TUS, "Upload-Length": "1"}), 401)
        assert nobody.options("/v1/imports/uploads").headers["tus-version"] == "1.0.0"


def test_wrong_ids(patient):
    dana = patient()
    problem(dana.health.get("/v1/imports/not-an-id"), 400, pointer="/path/id")
    problem(dana.health.get("/v1/imports", params={"cursor": "abc"}), 400, pointer="/query/cursor")


# ---- uploads

def test_upload_goes_on_where_it_was(patient):
    dana = patient()
    content = SAMPLE.read_bytes()
    path, third = begin(dana.health, len(content)), len(content) // 3
    assert append(dana.health, path, 0, content[:third]).headers["upload-offset"] == str(third)
    problem(append(dana.health, path, 5, b"wrong place"), 409, "offset_mismatch")
    problem(append(dana.health, path, third, content), 413)
    at = int(dana.health.head(path, headers=TUS).headers["upload-offset"])
    assert append(dana.health, path, at, content[at:]).status_code == 204
    assert same_as(ended(dana.health, path.rsplit("/", 1)[1]), manifest_of(SAMPLE))


def test_wrong_checksum_counts_for_nothing(patient):
    dana = patient()
    path = begin(dana.health, 10)
    wrong = base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    answer = dana.health.patch(path, content=b"0123456789", headers={
        **TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream", "Upload-Checksum": f"sha1 {wrong}"})
    assert answer.status_code == 460
    assert dana.health.head(path, headers=TUS).headers["upload-offset"] == "0"


def test_upload_can_be_given_up(patient):
    dana = patient()
    path = begin(dana.health, 10)
    assert dana.health.delete(path, headers=TUS).status_code == 204
    assert dana.health.head(path, headers=TUS).status_code in (404, 410)


# ---- accidents

def scratch_files(daemon) -> list[str]:
    return sorted(name for name in os.listdir(daemon.settings["SALUS_SCRATCH"]) if name != "folder-id")


@pytest.fixture
def lonely(private_stack):
    """Two daemons that a test may kill."""
    auth = private_stack.daemon("auth")
    health = private_stack.daemon("main-health")
    return private_stack, health, lambda: register(auth.url, health.url, time_zone="Europe/Berlin")


def test_kill_in_the_middle(lonely, tmp_path):
    _, health, new_person = lonely
    dana = new_person()
    manifest = make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "3")
    import_id = upload(dana.health, tmp_path / "export.zip")
    kills = 0
    for mark in (5_000, 20_000, 40_000):
        eventually(lambda mark=mark: look(dana.health, import_id)["records"] >= mark, within=30)
        before = look(dana.health, import_id)
        health.kill()
        kills += before["state"] == "running"
        health.start()
        assert look(dana.health, import_id)["records"] >= before["records"]
    assert kills, "the import was over before it could be killed"
    job = ended(dana.health, import_id)
    assert same_as(job, manifest)
    assert (job["added"], job["duplicates"]) == (manifest["added"], manifest["duplicates"])
    assert sum(1 for _ in events(dana.health)) == manifest["added"]
    eventually(lambda: scratch_files(health) == [], what="the files are gone")


def test_cancel(lonely, tmp_path):
    _, health, new_person = lonely
    dana = new_person()
    make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "4")
    import_id = upload(dana.health, tmp_path / "export.zip")
    eventually(lambda: look(dana.health, import_id)["records"] > 0)
    assert dana.health.delete(f"/v1/imports/{import_id}").status_code == 204
    job = ended(dana.health, import_id)
    assert job["state"] == "cancelled" and 0 < job["records"] < 60000
    eventually(lambda: scratch_files(health) == [], what="the files are gone")
    assert len(events(dana.health)) == look(dana.health, import_id)["added"]
    assert dana.health.delete(f"/v1/imports/{import_id}").status_code == 204
    assert bring_in(dana.health, tmp_path / "export.zip")["state"] == "done"


def test_database_away_for_a_while(lonely, tmp_path):
    stack, health, new_person = lonely
    dana = new_person()
    manifest = make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "5")
    import_id = upload(dana.health, tmp_path / "export.zip")
    eventually(lambda: look(dana.health, import_id)["records"] > 0)
    stack.postgres.stop()
    stack.postgres.start()
    eventually(health.is_ready)
    job = ended(dana.health, import_id, within=90)
    assert same_as(job, manifest) and job["added"] == manifest["added"]


def test_file_that_is_lost(lonely, tmp_path):
    _, health, new_person = lonely
    dana = new_person()
    make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "6")
    import_id = upload(dana.health, tmp_path / "export.zip")
    eventually(lambda: look(dana.health, import_id)["records"] > 0)
    health.kill()
    os.unlink(f"{health.settings['SALUS_SCRATCH']}/{import_id}.data")
    health.start()
    job = ended(dana.health, import_id)
    assert job["state"] == "failed" and job["problem"]["code"] == "import_lost"


def test_stopping_lets_the_chunk_end(lonely, tmp_path):
    _, health, new_person = lonely
    dana = new_person()
    manifest = make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "8")
    import_id = upload(dana.health, tmp_path / "export.zip")
    eventually(lambda: look(dana.health, import_id)["records"] > 0)
    assert health.stop() == 0
    health.start()
    assert same_as(ended(dana.health, import_id), manifest)


def test_the_same_file_twice_at_once(private_stack, tmp_path):
    """Two workers store the same facts at the same time: each comes in once."""
    auth = private_stack.daemon("auth")
    health = private_stack.daemon("main-health", SALUS_WORKERS="2")
    dana = register(auth.url, health.url, time_zone="Europe/Berlin")
    manifest = make_export(tmp_path / "export.zip", "--records", "60000", "--seed", "9")
    ids = [upload(dana.health, tmp_path / "export.zip") for _ in range(3)]
    jobs = [ended(dana.health, import_id) for import_id in ids]
    assert all(same_as(job, manifest) for job in jobs)
    assert sum(job["added"] for job in jobs) == manifest["added"]


# ---- what real phones wrote

def values(api, subtype: str) -> list[tuple]:
    found = events(api, event_type="vital", event_subtype=subtype)
    return sorted((event["occurred_at"], event["event_data"].get("value")) for event in found)


def expected(file) -> list[tuple]:
    """A CSV of tdda as ours would say it."""
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    utc = [datetime.strptime(row["startDate"], "%Y-%m-%d %H:%M:%S %z").astimezone(UTC) for row in rows]
    return sorted((f"{at:%Y-%m-%dT%H:%M:%SZ}", float(row["value"])) for at, row in zip(utc, rows, strict=True))


def test_tdda(patient, realdata):
    folder = realdata / "health/apple/tdda"
    dana = patient(time_zone="Europe/London")
    job = bring_in(dana.health, folder / "export6s3sample.xml")
    assert job["state"] == "done" and job["rejected"] == 0 and job["not_understood"] == 0
    assert values(dana.health, "steps") == expected(folder / "StepCount.csv")
    assert values(dana.health, "distance") == expected(folder / "DistanceWalkingRunning.csv")
    workout, = events(dana.health, event_type="vital", event_subtype="workout")
    assert workout["event_data"] == {"activity": "other", "duration": 31.7368025173744, "distance": 0, "energy": 139.317000000002}
    assert workout["time_zone"] == "Europe/London"


def test_paulstaab(patient, realdata):
    dana = patient()
    job = bring_in(dana.health, realdata / "health/apple/paulstaab/export.zip")
    assert job["state"] == "done" and job["rejected"] == 0 and job["not_understood"] == 0
    assert job["summary"]["ignored_files"] == [{"name": "workout routes (gpx)", "count": 4, "first_lines": []}]
    workouts = events(dana.health, event_type="vital", event_subtype="workout")
    assert {(w["event_data"]["activity"], w["event_data"].get("distance"), w["event_data"].get("energy")) for w in workouts} >= {
        ("running", 42195, None), ("cycling", 20000, None), ("running", 5000, 100)}
    assert [value for _, value in values(dana.health, "heart_rate")] == [150, 152, 160, 162, 170]
