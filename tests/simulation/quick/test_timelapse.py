from __future__ import annotations

from collections import Counter
from itertools import pairwise

from google.protobuf.internal.decoder import _DecodeVarint32  # type: ignore[attr-defined]

from gateway.pb import tap_pb2
from gateway.simulation.load import Load
from gateway.simulation.quick.timelapse import BEGAN_S, TimeLapse
from gateway.simulation.truth import truth_of

_LOAD = Load(workers=20, operations=150, rate=50, seed=3)


def _recorded(load: Load) -> tuple[TimeLapse, bytes]:
    found = bytearray()
    lapse = TimeLapse(load, found.extend)
    lapse.play()
    return lapse, bytes(found)


def _records(data: bytes) -> list[tap_pb2.TapRecord]:
    found, start = [], 0
    while start < len(data):
        length, start = _DecodeVarint32(data, start)
        found.append(tap_pb2.TapRecord.FromString(data[start : start + length]))
        start += length
    return found


def test_the_same_load_is_the_same_bytes_and_another_seed_is_not() -> None:
    assert _recorded(_LOAD)[1] == _recorded(_LOAD)[1]
    assert _recorded(_LOAD)[1] != _recorded(Load(workers=20, operations=150, rate=50, seed=4))[1]


def test_records_are_numbered_their_times_never_go_back_and_there_is_a_tick_every_second() -> None:
    lapse, data = _recorded(_LOAD)
    records = _records(data)
    assert [record.sequence for record in records] == list(range(1, lapse.records + 1))
    assert all(after.monotonic_ns >= before.monotonic_ns for before, after in pairwise(records))
    assert records[0].run_started.unix_ns == BEGAN_S * 1_000_000_000
    ticks = [record.monotonic_ns for record in records if record.HasField("tick")]
    assert ticks[:-1] == [second * 1_000_000_000 for second in range(1, len(ticks))]
    assert ticks[-1] == records[-1].monotonic_ns


def test_what_the_last_tick_says_is_what_was_recorded() -> None:
    records = _records(_recorded(_LOAD)[1])
    kinds = Counter(record.WhichOneof("record") for record in records)
    totals = records[-1].tick.listeners
    assert sum(each.connections for each in totals) == kinds["connection_opened"] == _LOAD.workers + _LOAD.clients
    assert sum(each.streams for each in totals) == kinds["stream_opened"]
    assert sum(each.messages for each in totals) == kinds["message"] + kinds["keep_alives"]
    assert kinds["keep_alives"] > 0


def test_all_of_the_load_is_in_it() -> None:
    lapse, data = _recorded(_LOAD)
    methods = Counter(
        record.stream_opened.method.rpartition("/")[2] for record in _records(data) if record.HasField("stream_opened")
    )
    assert methods == {"ConnectWorker": 20, "Execute": 150}
    assert len(truth_of(lapse.scheduler)["workers"]) == 20


def test_a_load_without_workers_waits_and_one_without_operations_is_a_second_of_workers() -> None:
    waiting = truth_of(_recorded(Load(workers=0, operations=10, rate=5))[0].scheduler)
    assert {row["stage"] for row in waiting["operations"]} == {"Queued"}
    idle, data = _recorded(Load(workers=3, operations=0))
    assert len(truth_of(idle.scheduler)["workers"]) == 3
    assert _records(data)[-1].monotonic_ns == 1_000_000_000
