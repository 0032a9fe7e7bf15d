"""States that are saved and loaded, and what an observer with such a state shows."""

from __future__ import annotations

import io
from collections.abc import Iterable

from gateway.config.types import Config
from gateway.model.events import ActionRead
from gateway.model.identity import Digest
from gateway.model.story import lines
from gateway.observe.checkpoint import codec
from gateway.observe.checkpoint.state import State
from gateway.observe.introspection import shape
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import tap_pb2, worker_api_pb2
from tests.observe.records import (
    CONNECT,
    EPOCH,
    MONOTONIC,
    SECOND,
    WAIT,
    WORKER_API,
    ScriptedTap,
    config,
    connected,
    execute_request,
    operation,
    registration,
    result,
    start_action,
)
from tests.observe.test_translate import gap_state, open_connection

SOURCE = "tap-0"


def dumped(state: State) -> bytes:
    file = io.BytesIO()
    codec.dump(state, file)
    return file.getvalue()


def through(state: State) -> State:
    """As the next process has it."""
    return codec.load(dumped(state))


class Following:
    """An observer of one tap, without sockets, around a state. A CAS says the same of every action whenever it is asked."""

    def __init__(self, state: State, settings: Config | None = None) -> None:
        self.state = state
        self.model = state.model
        self.translator = state.translators[SOURCE]

        def links() -> dict[str, LinkState]:
            return {SOURCE: LinkState(0.1, is_fresh=True, problem=None, run=self.translator.run)}

        overview = Overview(settings or config(), self.model, state.statistics, links, lambda: self.translator.foreign)
        self.published = PublishedState(self.model, overview, History("epoch"))
        self.observer = Observer(self.model, state.statistics, {SOURCE: self.translator}, Feed(self.published))

    def receive(self, records: Iterable[tap_pb2.TapRecord]) -> None:
        for record in records:
            self.observer.receive(SOURCE, [record])
            for each in list(self.model.operations.values()):
                if each.key is not None and each.action is None:
                    name, digest, _ = each.key
                    self.model.apply(ActionRead(self.model.now, name, digest, Digest("sha256", "cd", 1), None, 5, (("pool", "a"),)))

    def shown(self) -> list[bytes | str]:
        """Everything that anybody could ask for."""
        model = self.model
        self.published.publish()
        found: list[bytes | str] = [self.published.scheduler.message]
        found += [shape.worker_full(model, each).SerializeToString() for each in model.workers.values()]
        found += [shape.operation_full(model, each).SerializeToString() for each in model.operations.values()]
        found += [f"{each.arrival}: {lines(each.story)}" for each in model.workers.values()]
        found += [f"{each.arrival}: {lines(each.story)}" for each in model.operations.values()]
        found += [repr(anomaly) for anomaly in model.anomalies]
        position = self.observer.position(SOURCE)
        found.append(f"{model.now} {model.observed_since} {model.counts()} {model.anomaly_counts} {position}")
        return found


def eventful() -> list[tap_pb2.TapRecord]:
    """Records with something of every kind that a translator keeps: two runs, a gap, other schedulers, blindness, refusals."""
    tap = ScriptedTap(schedulers={"workers": "MAIN_SCHEDULER"})
    metadata = reapi.RequestMetadata(target_id="//a:b").SerializeToString()
    busy, stream = tap.worker("w-1", registration(slots=4, cpu_count="8"))
    for number in range(6):
        hash_ = f"{number % 4:064x}"
        client, call = tap.execute(execute_request(hash_, skip=number % 2 == 0, priority=number), metadata)
        tap.down(client, call, operation(f"main/c-{number}", 2, hash_))
        tap.down(busy, stream, start_action(f"op-{number}", execute_request(hash_, skip=number % 2 == 0), queued_ns=EPOCH + number))
        tap.down(client, call, operation(f"main/c-{number}", 3, hash_))
        if number % 3 == 0:
            tap.up(busy, stream, result(f"op-{number}", queued_ns=EPOCH + number))
        elif number % 3 == 1:
            tap.close(client)
        tap.tick(totals=tap_pb2.ListenerTotals(name="execution", connections=number + 1, bytes=1000 * number))
    elsewhere, call = tap.execute(execute_request(instance="other"))
    tap.down(elsewhere, call, operation("other/c", 2))
    waiting = tap.open()
    tap.call(waiting, 5, WAIT)
    tap.up(waiting, 5, reapi.WaitExecutionRequest(name="main/unknown"))
    tap.down(waiting, 5, operation("main/unknown", 2))
    old = tap.open("workers")
    tap.call(old, 1, CONNECT)
    tap.up(old, 1, registration("old-", cpu_count="4"))
    tap.down(old, 1, connected("w-old"))
    tap.down(old, 1, start_action("op-old", execute_request("ef" * 32, skip=True)))
    tap.call(old, 3, WORKER_API + "KeepAlive")
    tap.up(old, 3, worker_api_pb2.KeepAliveRequest(worker_id="w-old"))
    registering = tap.open("workers")
    tap.call(registering, 1, CONNECT)
    tap.up(registering, 1, worker_api_pb2.UpdateForScheduler(connect_worker_request=registration(pool="a")))
    refused = tap.open("workers")
    tap.add(connection=refused, upstream_refused=tap_pb2.UpstreamRefused(reason="Connection refused"))
    blind = tap.open()
    tap.add(connection=blind, blinded=tap_pb2.Blinded(reason=tap_pb2.Blinded.TLS))
    tap.up(99, 1, b"\xff")
    tap.tick(6)
    tap.sequence += 20
    opened = tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method=CONNECT), opened_monotonic_ns=MONOTONIC)
    gap_state(tap, (busy, 0, open_connection("workers")), (busy, 1, opened), missed=(tap.sequence - 19, tap.sequence))
    tap.tick(30)
    tap.down(busy, stream, start_action("op-9", execute_request("09" * 32), queued_ns=EPOCH + 9))
    tap.tick(60)
    following = ScriptedTap("run-2", started_at=tap.unix_ns + SECOND)
    following.worker("w-2")
    following.tick(80)
    return [*tap.records, *following.records]
