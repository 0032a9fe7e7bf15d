"""The peers of `scripts/bench tap`, played against each other and through a real tap for a few calls."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks import tap_envoy
from benchmarks import tap_messages as messages
from benchmarks import tap_places as places
from benchmarks.processes import Process, cpu_s, resident_mb
from benchmarks.verdicts import Verdicts, share
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import worker_api_pb2 as api
from gateway.simulation.quick import frames as http2


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _payloads(data: bytes) -> list[bytes]:
    return [data[begin + http2.PREFIX : end] for kind, _, _, begin, end in http2.frames(data) if kind == http2.DATA]


def test_what_is_patched_into_pre_recorded_messages_is_what_they_parse_to() -> None:
    name = messages.SCHEDULER_ID.format(77)
    (start,) = _payloads(messages.start(5, 77))
    action = api.UpdateForWorker.FromString(start).start_action
    assert (action.operation_id, action.worker_id) == (name, "worker-000005")
    assert action.execute_request.action_digest.hash == f"{77:064x}"
    complete, result = messages.worker_is_done(77)
    assert api.UpdateForScheduler.FromString(_payloads(complete)[0]).execute_complete.operation_id == name
    assert api.UpdateForScheduler.FromString(_payloads(result)[0]).execute_result.operation_id == name
    assert messages.started(messages.start(5, 77), http2.FRAME) == 77
    assert messages.result_of(result, http2.FRAME) == 77
    assert reapi.ExecuteRequest.FromString(messages.request(77)).action_digest.hash == f"{77:064x}"


def test_played_calls_and_workers_come_to_an_end_directly_and_through_the_splice(stack: ExitStack, tmp_path: Path) -> None:
    for kind in (places.direct, places.splice):
        player = kind(stack, tmp_path).player()
        assert player.ask("connect", 1, 2) == 2
        assert player.ask("record", 1, 30) == 30
        assert len(player.ask("sequence", 30)) == 30


def test_a_flood_through_the_running_gateway_is_seen_whole_by_a_subscriber_and_bulk_goes_by(
    stack: ExitStack, tmp_path: Path
) -> None:
    place = places.gateway(stack, tmp_path)
    player = place.player()
    player.ask("connect", 2, 3, 0.05)
    watch = Process(stack, places.PROCESSES, "watch", place.introspection)
    watch.ask("seen")
    player.ask("record", 1, 100)
    player.ask("at_rate", 200, 100)
    player.ask("begin_bulk", 2)
    seen, completed, moved = 0, 0, 0
    for _ in range(60):
        moved += player.ask("rest", 0.5)
        found = watch.ask("seen")
        seen, completed = seen + len(found["delays"]), completed + found["completed"]
        assert (found["missed"], found["blind"], found["gaps"]) == (0, 0, 0)
        if completed >= 100 and moved:
            break
    assert seen == 100
    assert completed >= 100
    assert moved > 0
    assert all(cpu_s(pid) > 0 and resident_mb(pid) > 1 for pid in place.pids.values())


def test_ends_that_speak_grpc_by_the_library_go_through_the_splice(stack: ExitStack, tmp_path: Path) -> None:
    player = places.splice(stack, tmp_path, upstream=places.GRPC).player()
    assert len(player.ask("by_grpc", 1, 10)) == 10


def test_a_floor_that_is_missed_is_said_and_ends_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = Verdicts()
    verdicts.at_most("slow", [3.0, 1.0, 3.0], [1.0, 1.0, 1.0], floor=2.0, aim=1.0)
    verdicts.at_least("fast", [3.0], [1.0], floor=2.0, aim=3.0)
    assert verdicts.told() == 1
    assert capsys.readouterr().out.splitlines() == [
        "slow: median 3.000 (1.000 to 3.000); floor <= 2, aim 1: MISSED",
        "fast: median 3.000 (3.000 to 3.000); floor >= 2, aim 3: met",
        "missed: slow",
    ]
    assert Verdicts().told() == 0
    assert share([4, 1, 3, 2], 0.5) == 3


def test_envoy_is_configured_with_its_tap_only_where_it_is_wanted(tmp_path: Path) -> None:
    plain, tapped = (json.dumps(tap_envoy.configuration(1, 2, scratch)) for scratch in (None, tmp_path))
    assert "tap.v3" not in plain
    assert f"{tmp_path}/t" in tapped
