import pytest

from gateway.model import events
from gateway.model.records import Operation, Worker
from tests.model.builders import EXECUTING, QUEUED, START, Scene, digest, key, stream


def worker(*, paused: bool = False, draining: bool = False, limit: int | None = 0, running: int = 0) -> Worker:
    return Worker(
        id="w",
        arrival=1,
        stream=stream(1),
        connected_at=START,
        last_update_at=START,
        properties=(),
        id_prefix="",
        max_inflight_tasks=limit,
        peer="",
        user_agent="",
        is_paused=paused,
        is_draining=draining,
        running={f"op{number}": () for number in range(running)},
    )


@pytest.mark.parametrize(
    ("shown", "accepts"),
    [
        (worker(), True),
        (worker(paused=True), False),
        (worker(draining=True), False),
        (worker(limit=0, running=9), True),
        (worker(limit=2, running=1), True),
        (worker(limit=2, running=2), False),
        (worker(limit=None, running=9), True),
    ],
)
def test_a_worker_accepts_work_by_the_schedulers_rule(shown: Worker, *, accepts: bool) -> None:
    assert shown.can_accept_work is accepts


def test_an_operation_shows_the_clients_id_until_a_worker_got_it() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key(), QUEUED)
    shown = scene.operation("c1")
    assert (shown.operation_id, shown.client_operation_id, shown.previous_operation_id) == ("c1", "c1", None)
    scene.assign("op1", key())
    assert (shown.operation_id, shown.client_operation_id, shown.previous_operation_id) == ("op1", "c1", "c1")


def test_an_operation_that_a_worker_got_first_never_changes_its_id() -> None:
    scene = Scene()
    scene.connect()
    scene.assign("op1", key())
    shown = scene.operation("op1")
    assert (shown.client_operation_id, shown.priority, shown.load_at) == (None, None, START)
    scene.execute(1, key(), EXECUTING, priority=4)
    assert (shown.operation_id, shown.client_operation_id, shown.previous_operation_id) == ("op1", "c1", None)
    assert shown.priority == 4


def test_an_operation_without_any_id_shows_none() -> None:
    empty = Operation(arrival=1, key=None, stage=QUEUED, load_at=START)
    assert (empty.operation_id, empty.client_operation_id, empty.cacheable) == ("", None, None)
    assert (empty.insert_at, empty.platform_properties, empty.is_finished) == (None, None, False)


def test_insert_time_is_the_schedulers_once_it_is_known() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    assert scene.operation("c1").insert_at == START
    scene.assign("op1", key(), queued_at=START - 7)
    assert scene.operation("c1").insert_at == START - 7


def test_platform_properties_are_the_actions_own_otherwise_what_was_reserved() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    shown = scene.operation("c1")
    scene.assign("op1", key(), platform=(("cpu_count", "2"),))
    assert shown.platform_properties == (("cpu_count", "2"),)
    for platform, expected in (((), (("cpu_count", "2"),)), ((("pool", "a"),), (("pool", "a"),))):
        read = events.ActionRead(START, "", digest(), digest("command"), digest("root"), 5, platform)
        scene.tell(read)
        assert shown.platform_properties == expected
        assert shown.action == read


def test_whether_an_action_is_cacheable_may_not_be_known() -> None:
    scene = Scene()
    scene.execute(1, key(cacheable=False))
    assert scene.operation("c1").cacheable is False
    scene.follow(2, "/elsewhere")
    scene.update(2, QUEUED, name="/elsewhere", named=digest("other"))
    assert scene.operation("elsewhere").cacheable is None
