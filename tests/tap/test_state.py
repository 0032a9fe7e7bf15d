from __future__ import annotations

from gateway.pb import tap_pb2
from gateway.tap import records
from gateway.tap.records import Recorder
from gateway.tap.state import KEPT_MESSAGE_BYTES, OpenState
from tests.tap.frames import CONNECT_WORKER, EXECUTE
from tests.tap.reading import kinds, parse


class _Evicted:
    """A recorder whose records leave the ring at once."""

    def __init__(self, limit_bytes: int = 2**20) -> None:
        self.state = OpenState(limit_bytes)
        self.recorder = Recorder(lambda record: self.state.apply(record, records.read_head(record, 0)))
        self.now = 0

    def record(self, connection: int, stream: int, kind: int, body: bytes) -> None:
        self.now += 1
        self.recorder.record(self.now, connection, stream, kind, body)

    def connection(self, number: int) -> None:
        self.record(number, 0, records.CONNECTION_OPENED, records.connection_opened("l", f"p{number}"))

    def stream(self, connection: int, stream: int, method: str) -> None:
        self.record(connection, stream, records.STREAM_OPENED, records.stream_opened(method, b"", "ua"))

    def message(self, connection: int, stream: int, direction: int, payload: bytes) -> None:
        self.now += 1
        self.recorder.message(self.now, connection, stream, direction, payload)

    def snapshot(self) -> list[tap_pb2.TapRecord]:
        found = [parse(record) for record in self.state.snapshot()]
        assert {record.sequence for record in found} == {max(self.recorder.sequence, 1)}
        return found


def test_a_worker_keeps_its_registration_its_id_and_its_last_keep_alive() -> None:
    evicted = _Evicted()
    evicted.connection(1)
    evicted.stream(1, 1, CONNECT_WORKER)
    for payload in (b"registration", b"later"):
        evicted.message(1, 1, records.TO_SERVER, payload)
    for payload in (b"id", b"later"):
        evicted.message(1, 1, records.TO_CLIENT, payload)
    evicted.recorder.keep_alives(90, 1, 1, 3, 88)
    begin, connection, stream, end = evicted.snapshot()
    assert kinds([begin, connection, stream, end]) == ["state_begin", "open_stream", "open_stream", "state_end"]
    opened = tap_pb2.ConnectionOpened(listener="l", peer="p1")
    assert (connection.connection, connection.stream, connection.monotonic_ns) == (1, 0, 1)
    assert connection.open_stream == tap_pb2.OpenStream(connection_opened=opened, opened_monotonic_ns=1)
    assert (stream.connection, stream.stream, stream.monotonic_ns) == (1, 1, 90)
    assert stream.open_stream == tap_pb2.OpenStream(
        opened_monotonic_ns=2,
        stream_opened=tap_pb2.StreamOpened(method=CONNECT_WORKER, user_agent="ua"),
        first_to_server=b"registration",
        first_to_client=b"id",
        last_keep_alive_monotonic_ns=88,
    )


def test_an_execute_keeps_its_request_and_its_latest_update() -> None:
    evicted = _Evicted()
    evicted.connection(1)
    evicted.stream(1, 5, EXECUTE)
    evicted.message(1, 5, records.TO_SERVER, b"request")
    for payload in (b"queued", b"executing"):
        evicted.message(1, 5, records.TO_CLIENT, payload)
    stream = evicted.snapshot()[2].open_stream
    assert (stream.first_to_server, stream.latest_to_client) == (b"request", b"executing")
    assert not stream.HasField("first_to_client")


def test_what_is_closed_is_not_listed() -> None:
    evicted = _Evicted()
    for number in (1, 2):
        evicted.connection(number)
        evicted.stream(number, 1, EXECUTE)
        evicted.message(number, 1, records.TO_SERVER, b"request")
    evicted.record(1, 1, records.STREAM_CLOSED, b"")
    evicted.record(2, 1, records.STREAM_CLOSED, b"")
    evicted.recorder.connection_closed(9, 2, records.BY_CLIENT, reset=False)
    evicted.record(0, 0, records.TICK, b"")
    assert [(record.connection, record.stream) for record in evicted.snapshot()] == [(0, 0), (1, 0), (0, 0)]


def test_a_blind_connection_says_so() -> None:
    evicted = _Evicted()
    evicted.connection(1)
    evicted.record(1, 0, records.BLINDED, records.blinded(records.TLS, "why"))
    connection = evicted.snapshot()[1].open_stream
    assert connection.blinded == tap_pb2.Blinded(reason=tap_pb2.Blinded.TLS, detail="why")


def test_large_and_omitted_messages_are_not_kept() -> None:
    evicted = _Evicted()
    evicted.connection(1)
    evicted.stream(1, 1, CONNECT_WORKER)
    evicted.message(1, 1, records.TO_SERVER, bytes(KEPT_MESSAGE_BYTES + 1))
    evicted.message(1, 1, records.TO_SERVER, b"not the first")
    evicted.recorder.omitted(9, 1, 1, records.TO_CLIENT, records.TOO_LARGE, 5)
    stream = evicted.snapshot()[2].open_stream
    assert stream.first_to_server == b""
    assert not stream.HasField("first_to_client")


def test_all_kept_messages_together_are_bounded_and_make_room_when_streams_close() -> None:
    evicted = _Evicted(100 + 2 * len(records.stream_opened(EXECUTE, b"", "ua")))
    evicted.connection(1)
    for stream in (1, 3):
        evicted.stream(1, stream, EXECUTE)
        evicted.message(1, stream, records.TO_SERVER, bytes(60))
    kept = [bool(record.open_stream.first_to_server) for record in evicted.snapshot()[2:4]]
    assert kept == [True, False]
    evicted.record(1, 1, records.STREAM_CLOSED, b"")
    evicted.message(1, 3, records.TO_CLIENT, bytes(60))
    assert evicted.snapshot()[2].open_stream.latest_to_client == bytes(60)


def test_over_the_bound_a_stream_keeps_its_method_and_no_other_header() -> None:
    evicted = _Evicted(1000)
    evicted.connection(1)
    for stream in range(1, 21, 2):
        evicted.record(1, stream, records.STREAM_OPENED, records.stream_opened(EXECUTE, b"m" * 100, "u" * 200))
    opened = [record.open_stream.stream_opened for record in evicted.snapshot()[2:-1]]
    assert [each.method for each in opened] == [EXECUTE] * 10
    assert [len(each.user_agent) for each in opened] == [200] * 2 + [0] * 8
    for stream in range(1, 21, 2):
        evicted.record(1, stream, records.STREAM_CLOSED, b"")
    evicted.record(1, 21, records.STREAM_OPENED, records.stream_opened(EXECUTE, b"m", "u" * 200))
    assert len(evicted.snapshot()[2].open_stream.stream_opened.user_agent) == 200


def test_records_of_what_is_not_known_change_nothing() -> None:
    evicted = _Evicted()
    evicted.message(7, 1, records.TO_SERVER, b"x")
    evicted.connection(1)
    evicted.message(1, 9, records.TO_SERVER, b"x")
    assert len(evicted.snapshot()) == 3


def test_a_snapshot_is_of_the_moment_it_was_asked_for() -> None:
    evicted = _Evicted()
    evicted.connection(1)
    snapshot = evicted.state.snapshot()
    evicted.recorder.connection_closed(9, 1, records.BY_CLIENT, reset=False)
    assert len(list(snapshot)) == 3


def test_before_anything_left_the_ring_nothing_is_open() -> None:
    assert kinds(_Evicted().snapshot()) == ["state_begin", "state_end"]
