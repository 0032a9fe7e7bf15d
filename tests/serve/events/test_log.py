from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.serve.events import log as log_module
from gateway.serve.events.log import EventLog
from gateway.serve.events.selection import Selection
from gateway.serve.replica import Changes, Replica
from gateway.serve.rows import OperationRow, WorkerRow, operation_row, worker_row
from tests.serve.builders import operation, worker
from tests.serve.events.listening import Event, Parser

EVERYTHING = Selection(WorkerFilter(), OperationFilter())
STAGES = [pb.STAGE_QUEUED, pb.STAGE_EXECUTING, pb.STAGE_COMPLETED]
SELECTIONS = [
    EVERYTHING,
    Selection(None, OperationFilter(stages=frozenset({"Queued", "Executing"}))),
    Selection(WorkerFilter(id_prefix="worker-1"), OperationFilter(worker_id="worker-1")),
    Selection(WorkerFilter(), None),
]


class Logged:
    """A replica and the log of what happened to it."""

    def __init__(self) -> None:
        self.replica = Replica("epoch", 1)
        self.log = EventLog()
        self.log.begin("epoch", 1)

    def apply(
        self,
        number: int,
        workers: Sequence[WorkerRow] = (),
        operations: Sequence[OperationRow] = (),
        *,
        gone_workers: Sequence[int] = (),
        gone_operations: Sequence[int] = (),
    ) -> None:
        changes = Changes("epoch", number, workers, operations, gone_workers, gone_operations)
        self.log.append(number, self.replica.apply(changes))

    def told(self, number: int, selection: Selection = EVERYTHING) -> list[Event]:
        """Everything after a revision."""
        place = self.log.place("epoch", number)
        assert place is not None
        parser = Parser()
        while place < self.log.end:
            piece = self.log.piece(selection, place, self.log.end)
            before = len(parser.events)
            parser.feed(piece.data)
            assert len(parser.events) - before == piece.events
            assert piece.end > place
            place = piece.end
        return parser.events


def operations(*arrivals: int, stage: pb.Stage.ValueType = pb.STAGE_QUEUED) -> list[OperationRow]:
    return [operation_row(operation(arrival, stage)) for arrival in arrivals]


def ids(events: Sequence[Event]) -> list[str]:
    return [event.last_event_id for event in events]


def test_what_comes_after_a_revision_is_told_in_order() -> None:
    logged = Logged()
    logged.apply(2, [worker_row(worker(1))], operations(2))
    logged.apply(3, (), operations(2, stage=pb.STAGE_EXECUTING), gone_workers=[1])
    assert [event.name for event in logged.told(1)] == [
        "worker worker-1",
        "operation op-2",
        "worker_removed worker-1",
        "operation op-2",
    ]
    assert [event.name for event in logged.told(2)] == ["worker_removed worker-1", "operation op-2"]
    assert logged.told(3) == []


def test_of_a_revision_only_the_last_event_has_its_id() -> None:
    """Whoever was cut off within a revision gets it whole."""
    logged = Logged()
    logged.apply(2, (), operations(1, 2, 3))
    logged.apply(5, (), operations(4))
    assert ids(logged.told(1)) == ["epoch-1", "epoch-1", "epoch-2", "epoch-5"]


def test_of_what_a_filter_shows_of_a_revision_the_last_has_its_id() -> None:
    logged = Logged()
    logged.apply(
        2, (), [*operations(1), *operations(2, stage=pb.STAGE_EXECUTING), *operations(3), *operations(4, stage=pb.STAGE_EXECUTING)]
    )
    logged.apply(3, (), operations(5, stage=pb.STAGE_EXECUTING))
    queued = Selection(None, OperationFilter(stages=frozenset({"Queued"})))
    assert ids(logged.told(1, queued)) == ["epoch-1", "epoch-2"]


def test_a_revision_that_is_cut_into_pieces_is_complete_with_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = Logged()
    logged.apply(2, (), operations(1, 2, 3, 4, 5))
    whole = logged.told(1)
    monkeypatch.setattr(log_module, "PIECE_BYTES", 100)
    assert logged.log.piece(EVERYTHING, logged.log.first, logged.log.end).events == 2
    assert logged.told(1) == whole
    monkeypatch.setattr(log_module, "_PIECE_ENTRIES", 1)
    assert logged.log.piece(EVERYTHING, logged.log.first, logged.log.end).events == 1
    assert logged.told(1) == whole


def test_a_revision_without_differences_is_a_place_to_come_back_to() -> None:
    logged = Logged()
    logged.apply(2)
    logged.apply(2)
    logged.apply(3, (), operations(1))
    assert len(logged.told(2)) == 1


def test_a_number_that_was_skipped_or_is_yet_to_come_is_no_place() -> None:
    """What somebody else was told of at such a number may be gone without a difference here."""
    logged = Logged()
    logged.apply(5, (), operations(1))
    logged.apply(9, (), operations(2))
    for number in (0, 2, 4, 6, 8, 10):
        assert logged.log.place("epoch", number) is None
    assert logged.log.place("another", 5) is None


def test_a_new_epoch_forgets_everything_and_whoever_was_at_the_end_is_before_it() -> None:
    logged = Logged()
    logged.apply(2, (), operations(1))
    end = logged.log.end
    logged.log.begin("another", 7)
    assert end < logged.log.begun == logged.log.first == logged.log.end
    assert logged.log.place("epoch", 2) is None
    assert logged.log.place("another", 7) == logged.log.end


@pytest.mark.parametrize(("bound", "value"), [("KEPT_ENTRIES", 10), ("KEPT_BYTES", 15_000), ("_KEPT_REVISIONS", 5)])
def test_the_oldest_revisions_are_forgotten_at_each_bound(monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(log_module, bound, value)
    monkeypatch.setattr(log_module, "_SLACK", 3)
    logged = Logged()
    for number in range(2, 102):
        logged.apply(number, (), operations(2 * number, 2 * number + 1))
        kept = [each for each in range(1, number + 1) if logged.log.place("epoch", each) is not None]
        assert kept == list(range(kept[0], number + 1))
        assert logged.log.place("epoch", kept[0]) == logged.log.first
        assert len(logged.told(kept[0])) == 2 * (number - kept[0])
    assert 5 <= len(kept) <= 7
    assert len(logged.log._entries) <= 2 * len(kept) + 3 + 2
    assert len(logged.log._ends) == len(kept)


def test_a_revision_larger_than_the_log_is_not_kept_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "KEPT_ENTRIES", 3)
    logged = Logged()
    logged.apply(2, (), operations(*range(1, 9)))
    assert logged.log.place("epoch", 1) is None
    assert logged.told(2) == []


_CHANGE = st.tuples(st.integers(1, 6), st.sampled_from([*STAGES, None]), st.sampled_from(["worker-1", "worker-2", None]))


@given(st.lists(st.lists(_CHANGE, max_size=6), max_size=12), st.sampled_from(SELECTIONS), st.data())
def test_whoever_comes_and_goes_as_they_like_ends_with_what_the_lists_show(
    revisions: list[list[tuple[int, pb.Stage.ValueType | None, str | None]]], selection: Selection, data: st.DataObject
) -> None:
    """Odd arrivals are operations, even ones workers; a client is cut off anywhere and comes back with the last id it read."""
    logged = Logged()
    picture: dict[int, object] = {}
    last = "epoch-1"
    for number, changes in enumerate(revisions, start=2):
        latest = {arrival: (stage, worker_id) for arrival, stage, worker_id in changes}
        present = {arrival: each for arrival, each in latest.items() if each[0] is not None}
        logged.apply(
            number,
            [worker_row(worker(arrival, f"{wid}-{arrival}")) for arrival, (_, wid) in present.items() if not arrival % 2],
            [
                operation_row(operation(arrival, stage or pb.STAGE_QUEUED, worker_id=wid))
                for arrival, (stage, wid) in present.items()
                if arrival % 2
            ],
            gone_workers=[arrival for arrival in latest if arrival not in present],
            gone_operations=[arrival for arrival in latest if arrival not in present],
        )
        events = logged.told(int(last.rpartition("-")[2]), selection)
        for event in events[: data.draw(st.integers(0, len(events)), label="read before it was cut off")]:
            last = event.last_event_id
            entity = event.data.get("operation") or event.data.get("worker")
            if event.type.endswith("_removed"):
                picture.pop(event.data["arrival"], None)
            else:
                picture[event.data["arrival"]] = entity
    for event in logged.told(int(last.rpartition("-")[2]), selection):
        entity = event.data.get("operation") or event.data.get("worker")
        if event.type.endswith("_removed"):
            picture.pop(event.data["arrival"], None)
        else:
            picture[event.data["arrival"]] = entity
    listed = [
        *(row for row in logged.replica.workers() if selection.workers and selection.workers.matches(row)),
        *(
            row
            for row in logged.replica.operations(OperationFilter())
            if selection.operations and selection.operations.matches(row)
        ),
    ]
    assert picture == {row.arrival: json.loads(row.json) for row in listed}
