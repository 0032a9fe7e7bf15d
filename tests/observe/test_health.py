"""Health: what is wrong is said with what to do, and no longer said once it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Address, Carries, Config, Tap
from gateway.observe.health import KeptState, ModelState, assess, describe_processes, describe_taps
from gateway.observe.links import LinkState, together
from gateway.observe.taps import ListenerState, Refusals, TapRun
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from tests.observe.records import EPOCH, SECOND, config

WELL = ModelState(is_partial=False, records_missed=0, foreign={})


def run(**listeners: ListenerState) -> TapRun:
    """A run with traffic on both taps."""
    state = TapRun("run-1", 0, {})
    for name, carries in (("execution", ("execution",)), ("workers", ("worker_api", "admin"))):
        totals = tap_pb2.ListenerTotals(
            name=name, connections=3, open_connections=2, bytes=1000, tapped_bytes=900, streams=7, messages=8
        )
        state.listeners[name] = ListenerState(name, f"127.0.0.1:{name}", f"upstream:{name}", carries, totals=totals)
    state.listeners.update(listeners)
    state.last_tick_at = EPOCH
    state.last_tick = tap_pb2.Tick()
    return state


def fresh(state: TapRun | None = None) -> LinkState:
    return LinkState(silence_s=0.5, is_fresh=True, problem=None, run=state or run())


def test_all_is_well() -> None:
    assert assess(config(), fresh(), WELL) == pb.Health(status=pb.Health.HEALTHY)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (LinkState(None, is_fresh=False, problem="nobody answers at /run/tap.sock", run=None), "nobody answers at /run/tap.sock"),
        (LinkState(None, is_fresh=False, problem=None, run=None), "nothing has come yet"),
        (LinkState(7.4, is_fresh=False, problem=None, run=run()), "silent for 7 s"),
    ],
    ids=["down", "no tick yet", "silent"],
)
def test_without_a_tap_it_is_unhealthy(link: LinkState, words: str) -> None:
    health = assess(config(), link, WELL)
    assert health.status == pb.Health.UNHEALTHY
    assert words in health.reasons[0]


def test_a_refusing_upstream_is_named_with_since_when() -> None:
    state = run()
    state.listeners["execution"].refusals = Refusals(EPOCH + 1, EPOCH + 9 * SECOND, "Connection refused")
    health = assess(config(), fresh(state), WELL)
    assert health.status == pb.Health.DEGRADED
    (reason,) = health.reasons
    assert reason == (
        "Tap 'execution' cannot reach NativeLink at upstream:execution since 2023-11-14T22:13:20Z (Connection refused): start "
        "NativeLink, or correct gateway.taps[].upstream of this tap."
    )


def test_a_refusal_that_nobody_has_tried_again_is_soon_no_more_than_a_note() -> None:
    state = run()
    state.listeners["execution"].refusals = Refusals(EPOCH - 90 * SECOND, EPOCH - 60 * SECOND, "Connection refused")
    assert assess(config(), fresh(state), WELL).status == pb.Health.DEGRADED
    state.listeners["execution"].refusals = Refusals(EPOCH - 90 * SECOND, EPOCH - 60 * SECOND - 1, "Connection refused")
    health = assess(config(), fresh(state), WELL)
    assert (health.status, list(health.reasons)) == (pb.Health.HEALTHY, [])
    assert health.notes[0] == (
        "Tap 'execution' could not reach NativeLink at upstream:execution at 2023-11-14T22:12:19Z (Connection refused), and "
        "nothing has connected since: whether NativeLink is back there is not known."
    )
    state.last_tick_at = None
    assert assess(config(), fresh(state), WELL).status == pb.Health.DEGRADED


def test_blind_connections_are_named_with_what_helps() -> None:
    state = run()
    state.listeners["workers"].blind = {1: "TLS", 2: "TLS", 3: "HPACK: index 99", 4: "OVERLOADED"}
    health = assess(config(), fresh(state), WELL)
    assert health.status == pb.Health.DEGRADED
    tls, hpack, overloaded = health.reasons
    assert "2 open connections (TLS)" in tls
    assert "gateway.taps[].tls" in tls
    assert "1 open connection (HPACK: index 99)" in hpack
    assert "more CPU" in overloaded


def test_many_kinds_of_blindness_are_five_sentences() -> None:
    state = run()
    state.listeners["workers"].blind = {number: f"HTTP2: frame {number}" for number in range(100)}
    assert len(assess(config(), fresh(state), WELL).reasons) == 5


def test_missed_records_are_a_reason_until_made_good() -> None:
    assert assess(config(), fresh(), ModelState(is_partial=True, records_missed=12, foreign={})).status == pb.Health.DEGRADED
    assert assess(config(), fresh(), ModelState(is_partial=False, records_missed=12, foreign={})).status == pb.Health.HEALTHY


def test_a_state_that_no_tap_has_confirmed_is_said_to_be_old() -> None:
    loaded = KeptState(shown_from=EPOCH)
    health = assess(config(), LinkState(None, is_fresh=False, problem="down", run=None), WELL, loaded)
    assert health.status == pb.Health.UNHEALTHY
    assert health.reasons[1] == "What is shown is the checkpoint of 2023-11-14T22:13:20Z: it is corrected when a tap is attached."
    assert not assess(config(), fresh(), WELL, loaded).reasons


def test_a_checkpoint_that_cannot_be_written_is_a_note() -> None:
    health = assess(config(), fresh(), WELL, KeptState(checkpoint_problem="No space left on device"))
    assert health.status == pb.Health.HEALTHY
    (note,) = health.notes
    assert note.startswith("The checkpoint in /nonexistent (gateway.state_dir) cannot be written (No space left on device)")


def test_drains_that_cannot_be_written_are_a_note() -> None:
    health = assess(config(), fresh(), WELL, KeptState(drains_problem="No space left on device"))
    assert health.status == pb.Health.HEALTHY
    (note,) = health.notes
    assert note.startswith("The drains in /nonexistent (gateway.state_dir) cannot be written (No space left on device)")


def test_a_tap_without_connections_names_the_setting_and_the_address() -> None:
    nobody = tap_pb2.ListenerTotals()
    state = run(
        execution=ListenerState("execution", "127.0.0.1:50151", "up:1", ("execution",), totals=nobody),
        workers=ListenerState("workers", "127.0.0.1:50161", "up:2", ("worker_api", "admin"), totals=nobody),
        both=ListenerState("both", "127.0.0.1:7", "up:3", ("execution", "worker_api"), totals=nobody),
        admin=ListenerState("admin", "127.0.0.1:8", "up:4", ("admin",), totals=nobody),
        silent=ListenerState("silent", "127.0.0.1:9", "up:5", ("execution",)),
    )
    health = assess(config(), fresh(state), WELL)
    assert health.status == pb.Health.HEALTHY
    execution, workers, both, admin = health.notes
    assert "--remote_executor=grpc://127.0.0.1:50151" in execution
    assert "worker_api_endpoint.uri: grpc://127.0.0.1:50161" in workers
    assert "remote_executor=grpc://127.0.0.1:7" in both
    assert "worker_api_endpoint.uri: grpc://127.0.0.1:7" in both
    assert "http://127.0.0.1:8" in admin


def _with_tls(**changes: Any) -> Config:
    """Taps of a file with TLS on both sides."""
    own = config()
    listener, dial = ListenerTls(Path("/c"), Path("/k")), DialTls(cert_file=Path("/c"), key_file=Path("/k"))
    return replace(own, taps=tuple(replace(tap, tls=listener, upstream_tls=dial, **changes) for tap in own.taps))


def test_a_tap_with_tls_is_advised_as_such() -> None:
    nobody = tap_pb2.ListenerTotals()
    state = run(
        execution=ListenerState("execution", "127.0.0.1:1", "up:1", ("execution",), totals=nobody),
        workers=ListenerState("workers", "127.0.0.1:2", "up:2", ("worker_api", "admin"), totals=nobody),
        elsewhere=ListenerState("elsewhere", "127.0.0.1:3", "up:3", ("execution",), totals=nobody),
    )
    execution, workers, elsewhere = assess(_with_tls(), fresh(state), WELL).notes
    assert "--remote_executor=grpcs://127.0.0.1:1" in execution
    assert "worker_api_endpoint.uri: grpcs://127.0.0.1:2 (and tls_config beside it)" in workers
    assert "--remote_executor=grpc://127.0.0.1:3" in elsewhere
    state = run(workers=ListenerState("workers", "127.0.0.1:2", "up:2", ("admin",), totals=nobody))
    assert "https://127.0.0.1:2" in assess(_with_tls(), fresh(state), WELL).notes[0]


def test_a_refusal_of_tls_names_its_settings_too() -> None:
    state = run()
    state.listeners["execution"].refusals = Refusals(EPOCH, EPOCH, "its certificate is not accepted: self-signed certificate")
    (reason,) = assess(_with_tls(), fresh(state), WELL).reasons
    assert reason.endswith(
        "(its certificate is not accepted: self-signed certificate): start NativeLink, or correct "
        "gateway.taps[].upstream and upstream_tls of this tap."
    )


def test_a_tap_that_lends_its_certificate_to_everyone_is_a_note() -> None:
    assert not assess(_with_tls(), fresh(), WELL).notes
    assert not assess(replace(config(), taps=(replace(config().taps[1], trust_all_peers=True),)), fresh(), WELL).notes[1:]
    health = assess(_with_tls(trust_all_peers=True), fresh(), WELL)
    assert health.status == pb.Health.HEALTHY
    assert [note.partition(":")[0] for note in health.notes] == [
        "Tap 'execution' trusts all peers",
        "Tap 'workers' trusts all peers",
    ]
    assert "everyone who reaches 127.0.0.1:50151 speaks to NativeLink with the gateway's certificate" in health.notes[0]


@pytest.mark.parametrize(
    ("carries", "missing"), [(Carries.EXECUTION, "worker_api"), (Carries.WORKER_API, "execution")], ids=["clients", "workers"]
)
def test_one_side_only_is_a_note(carries: Carries, missing: str) -> None:
    tap = Tap("only", Address("h", 1), Address("h", 2), frozenset({carries}))
    health = assess(config(taps=(tap,)), fresh(), WELL)
    assert health.status == pb.Health.HEALTHY
    assert f"No tap carries {missing!r}" in health.notes[0]


def test_bulk_traffic_through_the_tap_is_a_note() -> None:
    state = run()
    totals = tap_pb2.ListenerTotals(connections=1, bytes=1_000_000_000, tapped_bytes=30_000_000)
    state.listeners["execution"].totals = totals
    (note,) = assess(config(), fresh(state), WELL).notes
    assert note.startswith("97 % of the bytes through tap 'execution'")
    assert "--remote_cache" in note


def test_traffic_of_other_schedulers_is_a_note() -> None:
    (note,) = assess(config(), fresh(), ModelState(is_partial=False, records_missed=0, foreign={"OTHER": 7})).notes
    assert note == "7 messages belong to scheduler 'OTHER', which is not the one shown here ('MAIN_SCHEDULER')."


def test_a_tap_that_is_held_up_is_said_while_it_is() -> None:
    state = run()
    state.last_tick = tap_pb2.Tick(loop_lag_ns=1_260_000_000)
    (reason,) = assess(config(), fresh(state), WELL).reasons
    assert reason.startswith("The tap was held up for 1.3 s within the last second")
    state.last_tick = tap_pb2.Tick(loop_lag_ns=200_000_000)
    assert assess(config(), fresh(state), WELL).status == pb.Health.HEALTHY


def test_taps_are_shown_as_they_say_themselves() -> None:
    state = run()
    state.listeners["execution"].blind = {1: "TLS"}
    totals = state.listeners["execution"].totals
    assert totals is not None
    totals.upstream_refused = 9
    totals.blinded.add(reason=tap_pb2.Blinded.TLS, connections=4)
    state.listeners["workers"].totals = None
    execution, workers = describe_taps(config(), fresh(state))
    assert execution == pb.Tap(
        name="execution",
        listen="127.0.0.1:execution",
        upstream="upstream:execution",
        carries=["execution"],
        attached=True,
        last_tick=Timestamp(seconds=EPOCH // SECOND),
        connections=3,
        open_connections=2,
        blind_connections=1,
        bytes=1000,
        tapped_bytes=900,
        streams=7,
        messages=8,
        upstream_refused=9,
        blinded=[pb.BlindedConnections(reason="tls", connections=4)],
    )
    assert workers.connections == 0


def test_taps_are_shown_as_configured_while_nothing_was_heard() -> None:
    taps = describe_taps(config(), LinkState(None, is_fresh=False, problem="down", run=None))
    assert taps == [
        pb.Tap(name="execution", listen="127.0.0.1:50151", upstream="127.0.0.1:50051", carries=["execution"]),
        pb.Tap(name="workers", listen="127.0.0.1:50161", upstream="127.0.0.1:50061", carries=["admin", "worker_api"]),
    ]


def test_a_run_without_a_tick_has_none_to_show() -> None:
    state = run()
    state.last_tick_at = None
    assert not describe_taps(config(), fresh(state))[0].HasField("last_tick")


def _two(**second: Any) -> dict[str, LinkState]:
    return {"tap-0": fresh(), "tap-1": replace(fresh(), **second)}


def test_a_process_that_is_away_degrades_and_only_all_of_them_make_it_unhealthy() -> None:
    away: dict[str, Any] = {"is_fresh": False, "problem": "nobody answers at /run/tap-1.sock"}
    health = assess(config(), together(_two(**away)), WELL)
    assert health.status == pb.Health.DEGRADED
    assert [reason for reason in health.reasons if "tap-1" in reason] == list(health.reasons)
    assert "nobody answers at /run/tap-1.sock" in health.reasons[0]
    both = {name: replace(fresh(), **away) for name in ("tap-0", "tap-1")}
    assert assess(config(), together(both), WELL).status == pb.Health.UNHEALTHY
    assert assess(config(), together(_two()), WELL) == pb.Health(status=pb.Health.HEALTHY)


@pytest.mark.parametrize("count", [1, 2])
def test_a_replay_is_said_to_be_one_however_many_taps_were_recorded(count: int) -> None:
    links = {f"tap-{number}": replace(fresh(), replay="This is a replay.") for number in range(count)}
    health = assess(config(), together(links), WELL)
    assert (health.status, list(health.notes)) == (pb.Health.HEALTHY, ["This is a replay."])


def test_what_of_a_checkpoint_no_process_has_confirmed_is_said() -> None:
    link = together(_two(is_fresh=False, problem="down"))
    health = assess(config(), link, WELL, KeptState(shown_from=EPOCH))
    assert "the checkpoint of 2023-11-14T22:13:20Z is shown" in health.reasons[0]


def test_taps_of_several_processes_are_shown_as_one_and_each_process_by_itself() -> None:
    taps = describe_taps(config(), together(_two()))
    assert [(tap.name, tap.attached, tap.connections, tap.bytes, tap.streams) for tap in taps] == [
        ("execution", True, 6, 2000, 14),
        ("workers", True, 6, 2000, 14),
    ]
    links = _two(is_fresh=False, problem="down")
    assert [tap.attached for tap in describe_taps(config(), together(links))] == [False, False]
    assert [(process.name, process.attached) for process in describe_processes(links)] == [("tap-0", True), ("tap-1", False)]


def test_what_is_away_of_one_tap_says_nothing_of_another() -> None:
    here, there = run(), run()
    del here.listeners["workers"]
    del there.listeners["execution"]
    there.last_tick_at = EPOCH - 60 * SECOND
    links = {"a:1": fresh(here), "b:1": replace(fresh(there), is_fresh=False, problem="down")}
    shown = [(tap.name, tap.attached, tap.last_tick.seconds) for tap in describe_taps(config(), together(links))]
    assert shown == [("execution", True, EPOCH // SECOND), ("workers", False, EPOCH // SECOND - 60)]
    # Of a process that nothing was ever heard of, nobody knows whose taps it has.
    links["c:1"] = LinkState(None, is_fresh=False, problem="down", run=None)
    assert not any(tap.attached for tap in describe_taps(config(), together(links)))


def test_a_process_that_is_away_holds_nothing_up_any_more() -> None:
    late = run()
    late.last_tick = tap_pb2.Tick(loop_lag_ns=900_000_000)
    reasons = assess(config(), together(_two(run=late)), WELL).reasons
    assert any("held up for 0.9 s" in reason for reason in reasons)
    reasons = assess(config(), together(_two(run=late, is_fresh=False, problem="down")), WELL).reasons
    assert not any("held up" in reason for reason in reasons)


def test_the_oldest_tick_of_several_counts_and_a_process_without_one_has_none() -> None:
    older, silent = run(), run()
    older.last_tick_at = EPOCH - SECOND
    silent.last_tick_at = None
    assert describe_taps(config(), together(_two(run=older)))[0].last_tick == Timestamp(seconds=EPOCH // SECOND - 1)
    assert not describe_taps(config(), together(_two(run=silent)))[0].HasField("last_tick")


def test_a_tap_has_seen_connections_when_any_of_its_processes_has() -> None:
    unused = run()
    for listener in unused.listeners.values():
        listener.totals = tap_pb2.ListenerTotals(name=listener.name)
    assert not assess(config(), together(_two(run=unused)), WELL).notes
    notes = assess(config(), together({"tap-0": fresh(unused), "tap-1": fresh(unused)}), WELL).notes
    assert len(notes) == 2
    assert all("has seen no connection yet" in note for note in notes)


@pytest.mark.parametrize(("behind_s", "words"), [(2.6, "is 3 s behind"), (-7.0, "is 7 s before"), (0.9, None), (None, None)])
def test_a_clock_of_another_machine_that_is_off_is_a_note(behind_s: float | None, words: str | None) -> None:
    links = {"tap-0": fresh(), "other:50071": replace(fresh(), behind_s=behind_s)}
    health = assess(config(), together(links), WELL)
    assert health.status == pb.Health.HEALTHY
    assert len(health.notes) == (words is not None)
    assert all(f"The clock of the tap at other:50071 {words}" in note for note in health.notes)
