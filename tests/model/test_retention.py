from gateway.model import changes
from gateway.model.retention import NS_PER_S, Retention
from tests.model.builders import EXECUTING, Scene, key, ok


def test_the_oldest_goes_at_its_time_exactly_or_when_there_are_too_many() -> None:
    retention = Retention(completed_s=60, completed_max=2)
    retention.completed(0, 1)
    assert not retention.is_due(60 * NS_PER_S - 1, 1)
    assert retention.is_due(60 * NS_PER_S, 1)
    assert not retention.is_due(0, 2)
    assert retention.is_due(0, 3)
    assert retention.pop() == (0, 1)
    assert not retention.is_due(60 * NS_PER_S, 3)
    assert len(retention) == 0


def test_completed_operations_are_listed_for_a_while() -> None:
    scene = Scene(completed_s=60)
    scene.execute(1, key())
    scene.done(1)
    scene.wait(59.9)
    assert scene.stages == ["Completed"]
    (removed,) = scene.wait(0.1)
    assert isinstance(removed, changes.OperationRemoved)
    assert removed.reason == "retention"
    assert scene.model.operation("c1") is None


def test_a_result_that_is_no_longer_listed_is_joined_with_nothing() -> None:
    scene = Scene(completed_s=60)
    scene.connect()
    scene.execute(1, key())
    scene.done(1, ok(7))
    scene.wait(60)
    scene.assign("op1", key(), queued_at=7)
    assert (scene.stages, scene.operation("op1").clients) == (["Executing"], ())


def test_what_turned_out_not_to_be_completed_is_not_dropped_for_having_been() -> None:
    """A result without queued_timestamp is taken for that of the only run, until a client comes that executes."""
    scene = Scene(completed_s=60)
    action = key(cacheable=False)
    scene.connect()
    scene.execute(1, action)
    scene.assign("op1", action)
    scene.done(1)
    assert (scene.stages, scene.operation("op1").is_finished) == (["Completed"], True)
    scene.execute(2, action, EXECUTING)
    shown = scene.operation("op1")
    assert (scene.stages, shown.finished_at, shown.outcome) == (["Executing", "Completed"], None, None)
    scene.wait(60)
    assert scene.stages == ["Executing"]


def test_of_too_many_those_that_finished_first_go_first() -> None:
    scene = Scene(completed_max=2)
    for client in (3, 1, 2):
        scene.execute(client, key(str(client)))
    for client in (2, 3, 1):
        scene.done(client)
    assert scene.model.operation("c2") is None
    assert [operation.client_operation_id for operation in scene.model.operations.values()] == ["c3", "c1"]


def test_nothing_is_due_at_any_time_when_nothing_finished() -> None:
    assert not Retention(completed_s=60, completed_max=2).is_due(2**80, 0)
