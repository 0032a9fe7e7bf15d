from dataclasses import dataclass

import pytest

from gateway.query.filter import OperationFilter


@dataclass(frozen=True)
class Row:
    stage: str
    worker_id: str | None


QUEUED = Row("Queued", None)
EXECUTING = Row("Executing", "worker-1")
COMPLETED = Row("Completed", "worker-1")
ROWS = [QUEUED, EXECUTING, COMPLETED, Row("Executing", "worker-2")]


def test_no_condition_matches_every_row() -> None:
    assert all(OperationFilter().matches(row) for row in ROWS)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (OperationFilter(stages=frozenset({"Queued"})), [QUEUED]),
        (OperationFilter(stages=frozenset({"Queued", "Completed"})), [QUEUED, COMPLETED]),
        (OperationFilter(stages=frozenset()), []),
        (OperationFilter(worker_id="worker-1"), [EXECUTING, COMPLETED]),
        (OperationFilter(worker_id="worker-9"), []),
        (OperationFilter(worker_id=""), []),
        (OperationFilter(stages=frozenset({"Executing"}), worker_id="worker-1"), [EXECUTING]),
    ],
)
def test_a_row_has_to_meet_every_condition(wanted: OperationFilter, rows: list[Row]) -> None:
    assert [row for row in ROWS if wanted.matches(row)] == rows


def test_equal_conditions_are_one_key_of_a_cache() -> None:
    assert len({OperationFilter(frozenset({"Queued"}), "a"), OperationFilter(frozenset({"Queued"}), "a")}) == 1
