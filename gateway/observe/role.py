"""The observe process: everything of it is made and joined here, started, and ended."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.config.types import Config
from gateway.errors import StartError
from gateway.observe import listening
from gateway.observe.cas import ActionReader
from gateway.observe.checkpoint.restore import Beginning, give_up, restore
from gateway.observe.checkpoint.writer import CheckpointWriter
from gateway.observe.health import CheckpointState, LinkState
from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.service import IntrospectionService
from gateway.observe.introspection.state import PublishedState
from gateway.observe.link import RecordLink
from gateway.observe.observer import Observer, model_settings

#: Of the time that stopping may take, the part that answers under way get.
_GRACE = 0.2

logger = logging.getLogger(__name__)


async def run(config: Config, stop: asyncio.Event) -> None:
    """Observe until `stop` is set.

    Raises:
        StartError: the introspection service cannot listen where it should.
    """
    sources = [path.name for path in config.record_sockets[:1]]
    beginning = restore(config, model_settings(config), sources, time.time_ns())
    try:
        await _go_on(config, beginning, stop)
    except StartError:
        raise
    except Exception:
        give_up(config)
        raise


async def _go_on(config: Config, beginning: Beginning, stop: asyncio.Event) -> None:
    socket = config.record_sockets[0]
    model = beginning.state.model
    translator = beginning.state.translators[socket.name]

    def link_state() -> LinkState:
        return LinkState(link.silence_s(), link.is_fresh, link.problem, translator.run)

    def checkpoint_state() -> CheckpointState:
        return CheckpointState(None if observer.batches else beginning.written_at, writer.problem)

    statistics = beginning.state.statistics
    overview = Overview(config, model, statistics, link_state, lambda: translator.foreign, checkpoint_state)
    feed = Feed(PublishedState(model, overview, beginning.history, is_published=beginning.is_published))
    observer = Observer(model, statistics, translator, feed)
    writer = CheckpointWriter(config, beginning.state, lambda: observer.batches)
    link = RecordLink(socket, observer.position, observer.receive)
    if config.cas is not None:
        observer.actions = ActionReader(config.cas, observer.action_found)
        observer.want_actions()

    service = IntrospectionService(Answers(model, feed), feed)
    server = listening.create_server()
    await service.register(server)
    address = listening.listen(server, config)
    await server.start()
    listening.protect(config)
    logger.info("introspection answers at %s", address)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(link.follow(), name="record link"),
                tasks.create_task(feed.run(), name="watch feed"),
                tasks.create_task(writer.run(), name="checkpoints"),
            ]
            if observer.actions is not None:
                running.append(tasks.create_task(observer.actions.run(), name="cas"))
            await stop.wait()
            for task in running:
                task.cancel()
        feed.close()
        feed.state.publish()
        writer.finish(feed.state.history)
    finally:
        await service.stop()
        await server.stop(config.stop_timeout_s * _GRACE)
