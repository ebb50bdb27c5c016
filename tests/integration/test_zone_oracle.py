"""Our reader of time zones against Python's: every zone, every change of offset from 1890 to 2110, and random instants."""
import ctypes
import datetime
import pathlib
import random
import subprocess
import zoneinfo

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ["zone.c", "zone_rule.c", "time.c", "str.c", "utf8.c", "mem.c", "assert.c"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
FIRST, LAST = -2524521600, 4417977600  # 1890, 2110


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("len", ctypes.c_size_t)]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("zone") / "zone.so"
    sources = [str(ROOT / "libcommon/base" / s) for s in SOURCES]
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-shared", "-fPIC", "-o", str(path),
                    "-I", str(ROOT / "libcommon"), *sources], check=True)
    lib = ctypes.CDLL(str(path))
    lib.cm_zone_parse.argtypes = [Text, ctypes.POINTER(ctypes.c_void_p)]
    lib.cm_zone_offset.argtypes = [ctypes.c_void_p, ctypes.c_int64]
    lib.cm_zone_offset.restype = ctypes.c_int32
    lib.cm_zone_next_change.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)]
    lib.cm_zone_next_change.restype = ctypes.c_bool
    lib.cm_zone_instants.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64), ctypes.c_void_p]
    lib.cm_zone_day_start.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    lib.cm_zone_day_start.restype = ctypes.c_int64
    return lib


def load(library, name):
    handle = ctypes.c_void_p()
    data = pathlib.Path("/usr/share/zoneinfo", name).read_bytes()
    assert library.cm_zone_parse(Text(data, len(data)), ctypes.byref(handle)) == 0, name
    return handle


def zones():
    names = sorted(n for n in zoneinfo.available_timezones() if pathlib.Path("/usr/share/zoneinfo", n).is_file())
    assert len(names) > 400
    return [n for n in names if n not in ("localtime", "posixrules")]


def changes(library, handle):
    at, found = ctypes.c_int64(FIRST * 1000000), []
    while library.cm_zone_next_change(handle, at, ctypes.byref(at)) and at.value < LAST * 1000000:
        found.append(at.value // 1000000)
    return found


def expected(zone, seconds):
    local = (EPOCH + datetime.timedelta(seconds=seconds)).astimezone(zone)
    return int(local.utcoffset().total_seconds())


def test_offsets(library):
    rng = random.Random(7)
    compared = 0
    for name in zones():
        handle, zone = load(library, name), zoneinfo.ZoneInfo(name)
        instants = [s + d for s in changes(library, handle) for d in (-1, 0, 1)]
        instants += [rng.randrange(FIRST, LAST) for _ in range(200)]
        for s in instants:
            ours = library.cm_zone_offset(handle, s * 1000000)
            assert ours == expected(zone, s), (name, s)
        compared += len(instants)
    assert compared > 200000


def test_no_change_is_missed(library):
    """Between two changes that we name, Python's offset is constant (sampled weekly)."""
    for name in random.Random(3).sample(zones(), 40):
        handle, zone = load(library, name), zoneinfo.ZoneInfo(name)
        edges = [FIRST, *changes(library, handle), LAST]
        for a, b in zip(edges, edges[1:]):
            assert {expected(zone, s) for s in range(a, b, 7 * 86400)} == {expected(zone, a)}, (name, a)


def test_walls_and_days(library):
    """The instants of a wall time around each change equal those found by trying every offset."""
    two = (ctypes.c_int64 * 2)()
    for name in random.Random(5).sample(zones(), 60) + ["Pacific/Apia", "Australia/Lord_Howe", "America/St_Johns"]:
        handle = load(library, name)

        def offset(s):
            return library.cm_zone_offset(handle, s * 1000000)

        for at in changes(library, handle):
            offsets = {offset(s) for s in range(at - 200000, at + 200000, 3600)}
            for wall in (at + offset(at) + d for d in (-90000, -3600, -1800, -1, 0, 1, 1800, 3600, 90000)):
                want = sorted({wall - o for o in offsets if offset(wall - o) == o})[:2]
                got = library.cm_zone_instants(handle, wall * 1000000, two, None)
                assert [v // 1000000 for v in two[:got]] == want, (name, at, wall)
            day = (at + offset(at)) // 86400
            start = library.cm_zone_day_start(handle, day) // 1000000
            assert (start + offset(start)) // 86400 >= day and (start - 1 + offset(start - 1)) // 86400 < day, (name, day)
