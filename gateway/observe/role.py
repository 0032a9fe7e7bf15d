"""The observe process: everything of it is made and joined here, started, and ended."""

from __future__ import annotations

import asyncio
import logging
import uuid

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe import listening
from gateway.observe.cas import ActionReader
from gateway.observe.health import LinkState
from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.service import IntrospectionService
from gateway.observe.introspection.state import PublishedState
from gateway.observe.link import RecordLink
from gateway.observe.observer import Observer, model_settings
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator

#: Of the time that stopping may take, the part that answers under way get.
_GRACE = 0.2

logger = logging.getLogger(__name__)


async def run(config: Config, stop: asyncio.Event) -> None:
    """Observe until `stop` is set.

    Raises:
        StartError: the introspection service cannot listen where it should.
    """
    model = SchedulerModel(model_settings(config))
    translator = Translator(config)

    def link_state() -> LinkState:
        return LinkState(link.silence_s(), link.is_fresh, link.problem, translator.run)

    statistics = Statistics(model)
    overview = Overview(config, model, statistics, link_state, lambda: translator.foreign)
    # The model begins anew with every process, and with it the epoch.
    feed = Feed(PublishedState(model, overview, uuid.uuid4().hex))
    observer = Observer(model, statistics, translator, feed)
    link = RecordLink(config.record_sockets[0], observer.position, observer.receive)
    if config.cas is not None:
        observer.actions = ActionReader(config.cas, observer.action_found)

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
            ]
            if observer.actions is not None:
                running.append(tasks.create_task(observer.actions.run(), name="cas"))
            await stop.wait()
            for task in running:
                task.cancel()
    finally:
        await service.stop()
        await server.stop(config.stop_timeout_s * _GRACE)
