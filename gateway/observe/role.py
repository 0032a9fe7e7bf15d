"""The observe process: everything of it is made and joined here, started, and ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

from gateway.config.types import Config
from gateway.errors import StartError
from gateway.observe import listening
from gateway.observe.cas import ActionReader
from gateway.observe.checkpoint.restore import Beginning, give_up, restore
from gateway.observe.checkpoint.writer import CheckpointWriter
from gateway.observe.dialling import Dial, dials, local_names
from gateway.observe.draining import endpoint
from gateway.observe.draining.coordinator import Coordinator, Surroundings
from gateway.observe.health import KeptState
from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.drains import DrainAnswers
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.service import IntrospectionService
from gateway.observe.introspection.state import PublishedState
from gateway.observe.link import RecordLink
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer, model_settings
from gateway.observe.taps import ListenerState

#: Of the time that stopping may take, the part that answers under way get.
_GRACE = 0.2

logger = logging.getLogger(__name__)


async def run(config: Config, stop: asyncio.Event) -> None:
    """Observe until `stop` is set.

    Raises:
        StartError: the introspection service cannot listen where it should, or a certificate cannot be used.
    """
    dialled = dials(config)
    beginning = restore(config, model_settings(config), list(dialled), time.time_ns())
    try:
        await _go_on(config, beginning, dialled, stop)
    except StartError:
        raise
    except Exception:
        give_up(config)
        raise


async def _go_on(config: Config, beginning: Beginning, dialled: Mapping[str, Dial], stop: asyncio.Event) -> None:
    model, translators = beginning.state.model, beginning.state.translators

    local = local_names(config)

    def link_states() -> dict[str, LinkState]:
        return {
            name: LinkState(
                link.silence_s(),
                link.is_fresh,
                link.problem,
                translators[name].run,
                None if name in local else link.behind_s,
            )
            for name, link in links.items()
        }

    def foreign() -> Counter[str]:
        return sum((translator.foreign for translator in translators.values()), Counter())

    def kept() -> KeptState:
        shown_from = None if observer.has_heard_all else beginning.written_at
        return KeptState(shown_from, writer.problem, coordinator.unwritten)

    statistics = beginning.state.statistics
    overview = Overview(config, model, statistics, link_states, foreign, kept)
    feed = Feed(PublishedState(model, overview, beginning.history, is_published=beginning.is_published))
    observer = Observer(model, statistics, translators, feed, local)
    writer = CheckpointWriter(config, beginning.state, lambda: observer.batches)
    links = {
        name: RecordLink(
            dial, partial(observer.position, name), partial(observer.receive, name), processed=partial(observer.processed, name)
        )
        for name, dial in dialled.items()
    }
    coordinator = Coordinator(
        config,
        model,
        Surroundings(
            problem=lambda: _unobserved(observer, link_states()),
            endpoint=lambda: endpoint.find(config, _listeners(link_states())),
            drained=observer.drained,
            publish=lambda: _publish(feed, drains),
        ),
    )
    drains = DrainAnswers(coordinator)
    feed.state.drains = drains.published()
    if config.cas is not None:
        observer.actions = ActionReader(config.cas, observer.action_found)
        observer.want_actions()

    service = IntrospectionService(Answers(model, feed), feed, drains)
    server = listening.create_server()
    await service.register(server)
    addresses = listening.listen(server, config)
    await server.start()
    listening.protect(config)
    logger.info("introspection answers at %s", " and ".join(addresses))
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                *(tasks.create_task(link.follow(), name=f"record link {name}") for name, link in links.items()),
                tasks.create_task(feed.run(), name="watch feed"),
                tasks.create_task(writer.run(), name="checkpoints"),
                tasks.create_task(coordinator.run(), name="drains"),
            ]
            if observer.actions is not None:
                running.append(tasks.create_task(observer.actions.run(), name="cas"))
            await stop.wait()
            for task in running:
                task.cancel()
        observer.settle()
        coordinator.finish()
        feed.close()
        feed.state.publish()
        writer.finish(feed.state.history)
    finally:
        await service.stop()
        await server.stop(config.stop_timeout_s * _GRACE)


def _unobserved(observer: Observer, links: Mapping[str, LinkState]) -> str | None:
    """Why what workers do is not observed now; None: it is."""
    for name, link in links.items():
        if not link.is_fresh:
            return f"Tap process {name} is not attached, so what workers run is not known: see whether it runs"
    return None if observer.has_heard_all else "The taps have not said yet what there is: ask again in a moment"


def _listeners(links: Mapping[str, LinkState]) -> Iterator[ListenerState]:
    for link in links.values():
        if link.run is not None:
            yield from link.run.listeners.values()


def _publish(feed: Feed, drains: DrainAnswers) -> None:
    feed.state.drains = drains.published()
    feed.wake()
