"""The published state: batches, snapshots and the log, without a socket."""

from __future__ import annotations

import random

import pytest

from gateway.observe.introspection import history
from gateway.observe.introspection import state as module
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.observer import Observer
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from tests.observe.introspection.observed import Observed, Replica


def replica_of(observed: Observed) -> Replica:
    replica = Replica()
    for message in observed.state.snapshot():
        replica.take(pb.WatchResponse.FromString(message))
    return replica


def same(replica: Replica, observed: Observed) -> None:
    """The replica is what a new snapshot would be."""
    expected = replica_of(observed)
    assert replica.revision == expected.revision
    assert replica.workers == expected.workers
    assert replica.operations == expected.operations
    assert replica.scheduler == expected.scheduler


def test_an_empty_state_is_one_chunk() -> None:
    observed = Observed()
    observed.publish()
    (message,) = observed.state.snapshot()
    chunk = pb.WatchResponse.FromString(message).snapshot
    assert chunk.first
    assert chunk.last
    assert chunk.scheduler.name == "MAIN_SCHEDULER"
    assert chunk.revision.epoch == "epoch-1"


def test_a_batch_has_what_became_different_and_nothing_else() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    observed.publish()
    observed.worker("w-1")
    observed.queued("main/c-2", 2)
    (response,) = observed.publish()
    assert [worker.id for worker in response.changes.workers] == ["w-1"]
    assert [operation.client_operation_id for operation in response.changes.operations] == ["c-2"]
    assert response.changes.scheduler.counts.queued == 2


def test_what_comes_and_goes_between_two_batches_is_never_said() -> None:
    observed = Observed()
    observed.publish()
    number = observed.state.number
    connection, _ = observed.worker("w-1")
    observed.tap.close(connection)
    observed.play()
    for response in observed.publish():
        assert not response.changes.workers
        assert not response.changes.removed_workers
    assert observed.state.number <= number + 1


def test_nothing_new_is_nothing_to_say_and_a_heartbeat_says_that() -> None:
    observed = Observed()
    observed.publish()
    assert observed.publish() == []
    heartbeat = pb.WatchResponse.FromString(observed.state.heartbeat())
    assert heartbeat.changes == pb.ChangeBatch(revision=pb.Revision(epoch="epoch-1", number=observed.state.number))


def test_the_taps_totals_alone_are_no_new_revision() -> None:
    observed = Observed()
    observed.tap.tick(execution=tap_pb2.ListenerTotals(name="execution", connections=1, bytes=7))
    observed.publish()
    number = observed.state.number
    observed.tap.tick(execution=tap_pb2.ListenerTotals(name="execution", connections=1, bytes=9))
    (response,) = observed.publish()
    assert response.changes.scheduler.taps[0].bytes == 9
    assert response.changes.revision.number == number
    observed.fresh = False
    (response,) = observed.publish()
    assert response.changes.scheduler.health.status == pb.Health.UNHEALTHY
    assert response.changes.revision.number == number + 1


def test_large_batches_and_snapshots_come_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    observed = Observed()
    observed.publish()
    replica = replica_of(observed)
    for number in range(20):
        observed.queued(f"main/c-{number}", number)
    observed.worker("w-1")
    responses = observed.publish()
    assert [len(response.changes.workers) + len(response.changes.operations) for response in responses] == [7, 7, 7]
    assert [response.changes.HasField("scheduler") for response in responses] == [False, False, True]
    for response in responses:
        replica.take(response)
    same(replica, observed)
    chunks = [pb.WatchResponse.FromString(message).snapshot for message in observed.state.snapshot()]
    assert [(chunk.first, chunk.last) for chunk in chunks] == [(True, False), (False, False), (False, True)]
    assert [len(chunk.workers) + len(chunk.operations) for chunk in chunks] == [7, 7, 7]


def test_a_subscriber_may_come_back_at_every_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever revision it has, what it gets makes it equal to a new snapshot."""
    monkeypatch.setattr(module, "CHUNK", 3)
    rng = random.Random(7)
    observed = Observed()
    observed.publish()
    follower = replica_of(observed)
    leavers = []
    running: list[tuple[tuple[int, int], str, int]] = []
    workers: list[tuple[int, int]] = []
    for step in range(120):
        kind = rng.random()
        if kind < 0.15:
            workers.append(observed.worker(f"w-{step}"))
        elif kind < 0.2 and workers:
            gone = workers.pop(rng.randrange(len(workers)))
            running = [each for each in running if each[0] != gone]
            observed.tap.close(gone[0])
        elif kind < 0.6:
            observed.queued(f"main/c-{step}", step)
            if workers:
                running.append((rng.choice(workers), f"op-{step}", step))
                observed.assigned(*running[-1])
        elif running:
            observed.finished(*running.pop(rng.randrange(len(running))))
        observed.tap.sleep(rng.choice([0, 0, 0.5, 20]))
        if rng.random() < 0.7:
            for response in observed.publish():
                follower.take(response)
                leaver = Replica()
                for message in observed.state.snapshot():
                    leaver.take(pb.WatchResponse.FromString(message))
                leavers.append(leaver)
            same(follower, observed)
    for leaver in leavers:
        changes = observed.state.since(leaver.revision.number)
        assert changes is not None
        leaver.take(pb.WatchResponse.FromString(changes))
        same(leaver, observed)
    assert len(leavers) > 50


def test_a_revision_that_is_too_old_unknown_or_too_far_away_needs_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    observed = Observed()
    observed.publish()
    first = observed.state.number
    assert observed.state.since(first + 1) is None
    monkeypatch.setattr(history, "RESUME_MAX", 4)
    for number in range(6):
        observed.queued(f"main/c-{number}", number)
    observed.publish()
    assert observed.state.since(first) is None
    assert observed.state.since(observed.state.number) is not None


def test_removals_that_are_forgotten_end_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "REMOVALS_MAX", 3)
    observed = Observed()
    connections = [observed.worker(f"w-{number}")[0] for number in range(5)]
    observed.publish()
    numbers = []
    for connection in connections:
        observed.tap.close(connection)
        numbers.append(observed.state.number)
        observed.publish()
    assert observed.state.since(numbers[1]) is None
    assert observed.state.since(numbers[2]) is not None


def test_a_snapshot_stays_what_it_was_while_it_is_sent() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    observed.publish()
    messages = observed.state.snapshot()
    observed.queued("main/c-2", 2)
    observed.publish()
    replica = Replica()
    for message in messages:
        replica.take(pb.WatchResponse.FromString(message))
    assert [operation.client_operation_id for operation in replica.operations.values()] == ["c-1"]
    assert replica.scheduler.counts.queued == 1


def loaded(observed: Observed, history: History, *, is_published: bool) -> Observed:
    """The next process, with the same model."""
    following = Observed()
    following.model = observed.model
    following.translator = observed.translator
    overview = Overview(
        observed.config,
        observed.model,
        observed.statistics,
        observed._links,
        lambda: observed.translator.foreign,
    )
    following.state = PublishedState(observed.model, overview, history, is_published=is_published)
    following.feed = Feed(following.state)
    following.observer = Observer(observed.model, observed.statistics, {"tap-0": observed.translator}, following.feed)
    following.tap = observed.tap
    return following


def test_a_state_that_was_published_to_its_end_goes_on_for_those_who_know_it() -> None:
    observed = Observed()
    for number in range(5):
        observed.queued(f"main/c-{number}", number)
    observed.worker("w-1")
    observed.publish()
    replica = replica_of(observed)
    observed.queued("main/c-5", 5)
    observed.publish()

    following = loaded(observed, observed.state.history, is_published=True)
    assert replica_of(following).operations == replica_of(observed).operations
    assert replica_of(following).revision == replica_of(observed).revision
    following.queued("main/c-6", 6)
    following.publish()
    missed = following.state.since(replica.revision.number)
    assert missed is not None
    response = pb.WatchResponse.FromString(missed)
    assert sorted(each.client_operation_id for each in response.changes.operations) == ["c-5", "c-6"]
    replica.take(response)
    same(replica, following)


def test_a_state_that_was_loaded_is_published_whole_in_its_own_epoch() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    observed.worker("w-1")
    observed.publish()
    following = loaded(observed, History("epoch-2"), is_published=False)
    (response,) = following.publish()
    assert response.changes.revision == pb.Revision(epoch="epoch-2", number=1)
    assert len(response.changes.workers) == 1
    assert replica_of(following).operations == replica_of(observed).operations


def test_drains_are_brought_whole_when_they_change_and_are_no_new_revision() -> None:
    observed = Observed()
    (first,) = observed.publish()
    number = first.changes.revision.number
    assert not first.changes.HasField("drains")
    assert not pb.WatchResponse.FromString(next(observed.state.snapshot())).snapshot.HasField("drains")
    drains = pb.Drains(drains=[pb.Drain(id="d-1", id_prefix="w")])
    observed.state.drains = drains.SerializeToString()
    (told,) = observed.publish()
    assert told.changes.drains == drains
    assert told.changes.revision.number == number
    assert observed.publish() == []
    assert pb.WatchResponse.FromString(next(observed.state.snapshot())).snapshot.drains == drains
    behind = observed.state.since(number)
    assert behind is not None
    assert pb.WatchResponse.FromString(behind).changes.drains == drains
    observed.worker("w-1")
    observed.state.drains = b""
    (with_worker,) = observed.publish()
    assert (len(with_worker.changes.workers), with_worker.changes.HasField("drains")) == (1, True)
