from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from gateway.query.filter import OperationFilter, WorkerFilter, worker_states


@dataclass(frozen=True)
class Row:
    stage: str
    worker_id: str | None
    digest_hash: str = ""
    instance_name: str = ""
    invocation_ids: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    mnemonics: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    insert_at: int | None = None
    status_code: int | None = None


@dataclass(frozen=True)
class Worker:
    id: str
    states: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)


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


KNOWN = Row(
    "Completed",
    "worker-1",
    digest_hash="abc",
    instance_name="main",
    invocation_ids=("i-1", "i-2"),
    targets=("//a:b", "//c:d"),
    mnemonics=("CppCompile",),
    properties={"ISA": "arm", "cpu_count": "2"},
    insert_at=100,
    status_code=0,
)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (OperationFilter(digest_hash="abc"), OperationFilter(digest_hash="ab")),
        (OperationFilter(instance_name="main"), OperationFilter(instance_name="")),
        (OperationFilter(invocation_id="i-2"), OperationFilter(invocation_id="i-")),
        (OperationFilter(target="//c"), OperationFilter(target="/c")),
        (OperationFilter(mnemonic="CppCompile"), OperationFilter(mnemonic="cppcompile")),
        (OperationFilter(properties=(("ISA", "arm"), ("cpu_count", "2"))), OperationFilter(properties=(("ISA", "arm"), ("x", "")))),
        (OperationFilter(inserted_by=100), OperationFilter(inserted_by=99)),
        (OperationFilter(status_code=0), OperationFilter(status_code=4)),
    ],
)
def test_every_condition_lets_through_what_meets_it_and_not_what_is_not_known(
    right: OperationFilter, wrong: OperationFilter
) -> None:
    assert right.matches(KNOWN)
    assert not wrong.matches(KNOWN)
    assert not right.matches(QUEUED)
    assert right.looks_at_rows
    assert wrong.looks_at_rows


def test_stage_and_worker_need_no_look_at_rows() -> None:
    assert not OperationFilter(frozenset({"Queued"}), "worker-1").looks_at_rows
    assert not WorkerFilter().looks_at_rows


@pytest.mark.parametrize(
    ("accepts", "is_paused", "is_draining", "states"),
    [
        (True, False, False, ("active",)),
        (False, True, False, ("paused",)),
        (False, True, True, ("paused", "draining")),
        (False, False, False, ("full",)),
        (False, None, None, ("full",)),
        (None, None, None, ()),
    ],
)
def test_the_states_of_a_worker(
    accepts: bool | None, is_paused: bool | None, is_draining: bool | None, states: tuple[str, ...]
) -> None:
    assert worker_states(accepts=accepts, is_paused=is_paused, is_draining=is_draining) == states


def test_a_worker_has_to_meet_every_condition() -> None:
    worker = Worker("linux-1", ("paused", "draining"), {"ISA": "arm"})
    wanted = WorkerFilter(frozenset({"active", "draining"}), (("ISA", "arm"),), "linux-")
    assert wanted.matches(worker)
    assert wanted.looks_at_rows
    for wrong in (WorkerFilter(frozenset({"active"})), WorkerFilter(properties=(("ISA", "x86"),)), WorkerFilter(id_prefix="mac")):
        assert not wrong.matches(worker)
