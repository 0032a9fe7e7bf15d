"""A model that was saved goes on as if it had not been, and under the settings that it is given."""

from __future__ import annotations

from dataclasses import replace

from gateway.model.changes import OperationRemoved
from gateway.model.settings import ModelSettings
from gateway.model.story import lines
from tests.model.builders import Scene, key
from tests.model.saving import saved


def test_what_happens_after_a_load_happens_to_what_was_there_before() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    scene.assign("op1", key())
    scene.model = saved(scene.model)
    scene.report("op1")
    scene.done(1)
    (operation,) = scene.model.operations.values()
    assert operation.is_finished
    assert operation.worker_id == "w1"
    assert scene.model.workers["w1"].actions_completed == 1
    assert scene.model.up_since is not None


def test_the_numbers_of_changes_and_arrivals_go_on() -> None:
    scene = Scene()
    (before,) = scene.connect()
    scene.model = saved(scene.model)
    (after,) = scene.connect("w2", connection=102)
    assert after.number == before.number + 1
    assert [worker.arrival for worker in scene.model.workers.values()] == [1, 2]


def test_shorter_retention_holds_at_once() -> None:
    scene = Scene()
    for client in (1, 2, 3):
        scene.execute(client, key(f"a{client}"))
        scene.done(client)
    assert len(scene.model.operations) == 3
    (removed, also) = scene.model.configure(replace(scene.model.settings, completed_max=1))
    assert isinstance(removed, OperationRemoved)
    assert isinstance(also, OperationRemoved)
    scene.model.validate()
    scene.wait(30)
    scene.model.configure(ModelSettings(completed_s=30))
    assert not scene.model.operations


def test_bounds_of_logs_hold_from_the_next_line_on() -> None:
    scene = Scene()
    scene.connect()
    for number in range(5):
        scene.assign(f"op{number}", key(f"a{number}"))
        scene.report("unknown")
    scene.model.configure(ModelSettings(story_max=2, anomalies_max=1))
    assert len(scene.model.anomalies) == 1
    scene.report("op4")
    assert [text for _, text in lines(scene.worker().story)] == ["got op4", "reported op4: status 0, exit code 0"]


def test_a_new_worker_timeout_decides_whether_disconnects_are_a_stop() -> None:
    def stopped(worker_timeout_s: int) -> bool:
        scene = Scene()
        scene.connect("w1", connection=101)
        scene.connect("w2", connection=102)
        up_since = scene.model.up_since
        scene.model = saved(scene.model)
        scene.model.configure(ModelSettings(worker_timeout_s=worker_timeout_s))
        scene.wait(8)
        scene.evict("w1")
        scene.evict("w2")
        return scene.model.up_since != up_since

    assert stopped(10)
    assert not stopped(5)
