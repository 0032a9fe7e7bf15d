import pickle

import pytest

from gateway.model import changes, events
from gateway.model.records import Counts
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from gateway.model.story import lines
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, SECOND, START, Scene, digest, key, ok, stream


def test_a_new_model_knows_nothing() -> None:
    model = SchedulerModel(ModelSettings())
    assert (model.now, model.observed_since, model.up_since) == (0, None, None)
    assert (dict(model.workers), dict(model.operations), model.is_partial) == ({}, {}, False)
    assert model.counts() == Counts(0, 0, 0, 0, 0, 0, 0, 0)
    assert (list(model.anomalies), model.anomaly_counts.total(), model.records_missed, model.workers_refused) == ([], 0, 0, 0)
    model.validate()


def test_observation_begins_with_the_first_event() -> None:
    scene = Scene()
    assert scene.tell(events.ConnectionOpened(START, stream(1).connection_id, "execution")) == []
    scene.wait(5)
    assert (scene.model.observed_since, scene.model.up_since, scene.model.now) == (START, START, START + 5 * SECOND)


def test_time_never_goes_backwards() -> None:
    scene = Scene()
    scene.execute(1, key())
    scene.wait(10)
    assert scene.model.advance(START) == []
    told = scene.tell(events.OperationUpdated(START, stream(1), "/c1", EXECUTING, None, None))
    assert [change.at for change in told] == [START + 10 * SECOND]


def test_changes_are_numbered_without_a_hole() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    scene.assign("op1", key())
    scene.end()
    scene.wait(1000)
    assert [change.number for change in scene.changes] == list(range(1, len(scene.changes) + 1))


def test_a_change_of_an_operation_says_where_it_came_from() -> None:
    scene = Scene()
    scene.connect()
    assert scene.execute(1, key()) == [changes.OperationChanged(2, START, 2, "c1", None, QUEUED)]
    assigned = scene.assign("op1", key())
    assert changes.OperationChanged(4, START, 2, "op1", QUEUED, EXECUTING) in assigned
    assert lines(scene.operation("op1").story) == ((START, "Queued"), (START, "Queued -> Executing on w1"))


def test_arrivals_are_shared_by_workers_and_operations_and_never_reused() -> None:
    scene = Scene(client_action_timeout_s=1)
    scene.connect()
    scene.execute(1, key())
    scene.leave(1)
    scene.wait(1)
    scene.execute(2, key())
    assert (scene.worker().arrival, list(scene.model.operations)) == (1, [3])


def test_counts_are_of_what_is_listed() -> None:
    scene = Scene()
    scene.connect("w1", connection=101, slots=1)
    scene.connect("w2", connection=102)
    scene.drain("w2")
    for client in (1, 2, 3):
        scene.execute(client, key(str(client)))
    scene.assign("op1", key("1"))
    scene.done(2)
    assert scene.model.counts() == Counts(2, 0, 0, 1, 3, 1, 1, 1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (ModelSettings(sees_workers=False), Counts(None, None, None, None, 1, 1, 0, 0)),
        (ModelSettings(sees_clients=False), Counts(0, 0, 0, 0, 1, None, 0, 0)),
    ],
)
def test_what_a_side_that_is_not_observed_would_show_is_not_counted(settings: ModelSettings, expected: Counts) -> None:
    scene = Scene()
    scene.model = SchedulerModel(settings)
    scene.execute(1, key())
    assert scene.model.counts() == expected


def test_with_the_clients_side_alone_workers_are_not_known() -> None:
    scene = Scene(sees_workers=False)
    scene.execute(1, key(), EXECUTING, priority=2)
    shown = scene.operation("c1")
    assert (shown.worker_id, shown.queued_at, shown.assigned_at, shown.reserved, shown.priority) == (None, None, None, None, 2)
    scene.done(1, ok(7))
    assert (scene.stages, shown.worker_id) == (["Completed"], None)


def test_with_the_workers_side_alone_clients_are_not_known() -> None:
    scene = Scene(sees_clients=False)
    scene.connect()
    scene.assign("op1", key(), queued_at=7)
    shown = scene.operation("op1")
    assert (shown.client_operation_id, shown.priority, shown.clients, shown.insert_at) == (None, None, (), 7)
    scene.report("op1", ok(7))
    assert scene.stages == ["Completed"]


@pytest.mark.parametrize("instance", ["", "main", "a/b"])
def test_an_operation_is_found_by_any_id_with_or_without_its_instance(instance: str) -> None:
    scene = Scene()
    scene.connect()
    action = key(instance=instance)
    scene.request(1, action)
    scene.update(1, QUEUED, name=f"{instance}/c1")
    scene.assign("op1", action)
    for id_ in ("c1", "op1", f"{instance}/c1", f"{instance}/op1"):
        assert scene.operation(id_).arrival == 2
    for id_ in ("", "c2", "elsewhere/c1", "elsewhere/op1", "c1/"):
        assert scene.model.operation(id_) is None
    assert scene.model.other_ids(scene.operation("op1")) == ("c1",)


def test_an_operation_without_further_ids_has_none() -> None:
    scene = Scene()
    scene.execute(1, key())
    assert scene.model.other_ids(scene.operation("c1")) == ()


def test_of_two_clients_with_one_id_in_two_instances_each_is_found_by_its_name() -> None:
    scene = Scene()
    for client, instance in ((1, "a"), (2, "b")):
        scene.request(client, key(instance=instance))
        scene.update(client, QUEUED, name=f"{instance}/same")
    assert scene.operation("a/same") is not scene.operation("b/same")
    assert scene.operation("same") is scene.operation("b/same")
    scene.update(1, COMPLETED, ok(), name="a/same")
    scene.wait(60)
    assert scene.model.operation("a/same") is None
    assert scene.operation("same") is scene.operation("b/same")


def test_what_the_cas_says_fills_every_operation_of_the_action_and_those_that_come() -> None:
    scene = Scene()
    scene.execute(1, key())
    scene.execute(2, key(cacheable=False))
    scene.execute(3, key(instance="main"))
    read = events.ActionRead(START, "", digest(), digest("command"), None, None, ())
    assert len(scene.tell(read)) == 2
    scene.execute(4, key(cacheable=False))
    assert {each.client_operation_id: each.action for each in scene.model.operations.values()} == {
        "c1": read,
        "c2": read,
        "c3": None,
        "c4": read,
    }
    assert scene.tell(events.ActionRead(START, "elsewhere", digest(), None, None, None, ())) == []


def test_what_the_cas_said_of_an_action_holds_whether_it_is_cacheable_or_not() -> None:
    scene = Scene()
    scene.execute(1, key())
    read = events.ActionRead(START, "", digest(), digest("command"), None, 5, ())
    scene.tell(read)
    scene.execute(2, key(cacheable=False))
    assert scene.operation("c2").action == read


def test_anomalies_are_counted_and_the_latest_kept() -> None:
    scene = Scene(anomalies_max=3)
    scene.connect()
    for number in range(5):
        scene.report(f"op{number}")
    assert scene.model.anomaly_counts == {"unknown_result": 5}
    assert [anomaly.text.split(",")[0] for anomaly in scene.model.anomalies] == [f"of op{number}" for number in (2, 3, 4)]
    assert sum(isinstance(change, changes.AnomalyFound) for change in scene.changes) == 5


def test_stories_are_bounded() -> None:
    scene = Scene(story_max=4)
    scene.connect()
    for number in range(10):
        scene.assign(f"op{number}", key(str(number)))
    assert len(lines(scene.worker().story)) == 4


def test_a_pickled_model_goes_on_as_if_nothing_had_happened() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key(), EXECUTING)
    scene.execute(2, key(cacheable=False))
    scene.assign("op1", key(), queued_at=7)
    scene.model = pickle.loads(pickle.dumps(scene.model))  # noqa: S301 - our own bytes
    scene.model.validate()
    scene.report("op1", ok(7))
    scene.done(1, ok(7))
    assert scene.stages == ["Completed", "Queued"]
    assert (scene.worker().actions_completed, scene.model.up_since) == (1, START)
