from itertools import product

import pytest

from gateway.model.events import Stage
from gateway.model.lifecycle import STAGES, Seen, Work, diagram


def test_every_pair_of_words_has_a_stage_but_no_word_from_anybody() -> None:
    assert STAGES.keys() == set(product(Seen, Work)) - {(Seen.NOTHING, Work.NONE)}


@pytest.mark.parametrize("work", Work)
def test_a_client_that_was_told_completed_completes_it(work: Work) -> None:
    assert STAGES[Seen.COMPLETED, work] is Stage.COMPLETED


@pytest.mark.parametrize("seen", Seen)
def test_a_workers_result_completes_it(seen: Seen) -> None:
    assert STAGES[seen, Work.FINISHED] is Stage.COMPLETED


@pytest.mark.parametrize("seen", [each for each in Seen if each not in {Seen.COMPLETED, Seen.REQUEUED}])
def test_what_is_assigned_executes_whatever_clients_heard_before(seen: Seen) -> None:
    assert STAGES[seen, Work.RUNNING] is Stage.EXECUTING


@pytest.mark.parametrize("seen", [each for each in Seen if each not in {Seen.COMPLETED, Seen.RESUMED}])
def test_what_was_taken_away_is_queued_whatever_clients_heard_before(seen: Seen) -> None:
    assert STAGES[seen, Work.REQUEUED] is Stage.QUEUED


def test_a_client_hears_first_of_a_requeue_or_of_the_next_worker() -> None:
    assert STAGES[Seen.REQUEUED, Work.RUNNING] is Stage.QUEUED
    assert STAGES[Seen.RESUMED, Work.REQUEUED] is Stage.EXECUTING


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (Seen.UNKNOWN, Stage.UNKNOWN),
        (Seen.CACHE_CHECK, Stage.CACHE_CHECK),
        (Seen.QUEUED, Stage.QUEUED),
        (Seen.REQUEUED, Stage.QUEUED),
        (Seen.EXECUTING, Stage.EXECUTING),
        (Seen.RESUMED, Stage.EXECUTING),
    ],
)
def test_without_a_worker_a_clients_word_is_the_stage(seen: Seen, stage: Stage) -> None:
    assert STAGES[seen, Work.NONE] is stage


def test_the_diagram_is_drawn_from_the_table_and_ends_in_completed() -> None:
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    arrows = {line.split(":")[0].strip() for line in lines[1:]}
    assert {"Queued --> Executing", "Executing --> Queued", "Executing --> Completed", "CacheCheck --> Completed"} <= arrows
    assert not any(arrow.startswith("Completed") for arrow in arrows)
