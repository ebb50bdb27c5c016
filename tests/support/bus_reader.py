"""A reader of event streams by docs/bus-binding.md, written beside the daemons' own: a group like any service's, which
keeps every position of each stream, and has what it misses sent again."""

import threading
import time

import redis

GROUP, WAIT_MS = "ledger", 200
# The group or the stream is gone, or the server has no room.
TEMPORARY = ("NOGROUP", "UNBLOCKED", "MISCONF", "OOM", "LOADING")
MISSING_S = 0.5  # a gap that lasts so long is asked for


class BusReader:
    """`positions[service]` has the event's id by position (None: said to be void); `faults` what no reader may see."""

    def __init__(self, server, services):
        self.server = server
        self.positions: dict[str, dict[int, str | None]] = {service: {} for service in services}
        self.complete = dict.fromkeys(services, 0)  # all positions up to here are known
        self.faults: list[str] = []
        self._again = "0"
        self._asked = dict.fromkeys(services, 0.0)
        self._ending = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self):
        self._ending.set()
        self._thread.join()

    def paused(self):
        """While this is held nothing is read."""
        return self._turn

    def _run(self):
        while not self._ending.is_set():
            try:
                connection = self.server.connect()
                self._make_groups(connection)
                while not self._ending.is_set():
                    with self._turn:
                        self._read(connection)
                    time.sleep(0)
            except redis.exceptions.RedisError as error:
                if isinstance(error, redis.exceptions.ResponseError) and not str(error).startswith(TEMPORARY):
                    self.faults.append(str(error))
                self._ending.wait(0.05)

    def _make_groups(self, connection):
        for service, position in self.complete.items():
            try:
                connection.xgroup_create(f"s1:events:{service}", GROUP, f"{position}-0", mkstream=True)
            except redis.exceptions.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def _read(self, connection):
        # Nothing is pending: what is lost between the server and here is a gap.
        streams = {f"s1:events:{service}": ">" for service in self.positions}
        for key, entries in connection.xreadgroup(GROUP, GROUP, streams, count=1000, block=WAIT_MS, noack=True) or []:
            for entry_id, fields in entries:
                self._take(key.removeprefix("s1:events:"), int(entry_id.partition("-")[0]), fields["ce_id"])
        for entry_id, fields in connection.xrange(f"s1:redelivery:{GROUP}", min=f"({self._again}"):
            self._again = entry_id
            self._take_again(fields)
            connection.xdel(f"s1:redelivery:{GROUP}", self._again)
        for service in self.positions:
            self._look_for_gaps(connection, service)

    def _take(self, service: str, position: int, event: str | None):
        known = self.positions[service]
        if known.setdefault(position, event) != event:
            self.faults.append(f"position {position} of {service} was {known[position]} and is {event}")
        while self.complete[service] + 1 in known:
            self.complete[service] += 1

    def _take_again(self, fields):
        service = fields["salus_stream"]
        if "salus_void" in fields:
            first, last = map(int, fields["salus_void"].split("-"))
            for position in range(first, last + 1):
                self._take(service, position, None)
        else:
            self._take(service, int(fields["ce_sequence"]), fields["ce_id"])

    def _look_for_gaps(self, connection, service: str):
        known, complete = self.positions[service], self.complete[service]
        if len(known) == complete:
            self._asked[service] = time.monotonic()
        elif time.monotonic() - self._asked[service] > MISSING_S:
            self._asked[service] = time.monotonic()
            end = min(position for position in known if position > complete)
            connection.hset(f"s1:missing:{service}", GROUP, f"{complete + 1}-{end - 1}")
