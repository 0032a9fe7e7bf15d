"""Taps of one machine, of which each has read Unix time at its own beginning."""

from __future__ import annotations

from gateway.observe.clock import MachineClock
from gateway.observe.translate import Translator
from gateway.pb import tap_pb2
from tests.observe.records import EPOCH, SECOND, config


def _started(run: str, monotonic_ns: int, unix_ns: int) -> tap_pb2.TapRecord:
    started = tap_pb2.RunStarted(run=run, monotonic_ns=monotonic_ns, unix_ns=unix_ns)
    return tap_pb2.TapRecord(sequence=1, monotonic_ns=monotonic_ns, run_started=started)


class _Taps:
    def __init__(self, *local: str) -> None:
        self.translators = {name: Translator(config()) for name in ("tap-0", "tap-1", "elsewhere:1")}
        self.clock = MachineClock(self.translators, local)

    def say(self, source: str, record: tap_pb2.TapRecord) -> None:
        self.clock.agree({source: [record]})
        self.translators[source].translate(record)

    def offsets(self) -> list[int]:
        return [translator.run.offset for translator in self.translators.values() if translator.run is not None]


def test_what_the_latest_run_has_read_holds_for_all_of_this_machine_whoever_is_heard_first() -> None:
    for order in (("tap-0", "tap-1"), ("tap-1", "tap-0")):
        taps = _Taps("tap-0", "tap-1")
        started = {"tap-0": _started("a", 5 * SECOND, EPOCH), "tap-1": _started("b", 7 * SECOND, EPOCH + 3602 * SECOND)}
        taps.say("elsewhere:1", _started("c", 9 * SECOND, EPOCH))
        for source in order:
            taps.say(source, started[source])
        assert taps.offsets() == [EPOCH + 3595 * SECOND, EPOCH + 3595 * SECOND, EPOCH - 9 * SECOND]


def test_runs_that_are_heard_of_in_one_moment_have_one_clock_too() -> None:
    taps = _Taps("tap-0", "tap-1")
    batches = {"tap-0": [_started("a", 5 * SECOND, EPOCH)], "tap-1": [_started("b", 7 * SECOND, EPOCH + 3602 * SECOND)]}
    taps.clock.agree(batches)
    for source, records in batches.items():
        taps.translators[source].translate(records[0])
    assert taps.offsets() == [EPOCH + 3595 * SECOND] * 2


def test_a_run_that_is_told_again_to_a_reader_that_comes_back_changes_nothing() -> None:
    taps = _Taps("tap-0", "tap-1")
    taps.say("tap-0", _started("a", 5 * SECOND, EPOCH))
    taps.say("tap-1", _started("b", 7 * SECOND, EPOCH))
    again = _started("a", 5 * SECOND, EPOCH)
    taps.say("tap-0", again)
    assert taps.offsets() == [EPOCH - 7 * SECOND] * 2
    assert again.run_started.unix_ns == EPOCH - 2 * SECOND


def test_the_only_tap_of_a_machine_is_taken_at_its_word() -> None:
    taps = _Taps("tap-0")
    taps.say("tap-0", _started("a", 5 * SECOND, EPOCH))
    taps.say("tap-1", _started("b", 7 * SECOND, EPOCH))
    taps.say("tap-0", _started("a2", 4 * SECOND, EPOCH))
    assert taps.offsets() == [EPOCH - 4 * SECOND, EPOCH - 7 * SECOND]
