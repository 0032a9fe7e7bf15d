"""The observe process on a recording: the same model and the same answers as behind a tap, and nothing kept for the next start."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe import listening
from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.service import IntrospectionService
from gateway.observe.introspection.state import PublishedState
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer, model_settings
from gateway.observe.recording.replay import Replay
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator

#: Of the time that stopping may take, the part that answers under way get.
_GRACE = 0.2

logger = logging.getLogger(__name__)


async def run(config: Config, replay: Replay, stop: asyncio.Event) -> None:
    """Play, and answer introspection until `stop` is set. Actions are not read from a CAS: it may not have them any more.

    Raises:
        StartError: the introspection service cannot listen where it should.
    """
    model = SchedulerModel(model_settings(config))
    translators = {source: Translator(config) for source in replay.sources}

    def link_states() -> dict[str, LinkState]:
        return {
            source: LinkState(0.0, is_fresh=True, problem=None, run=translator.run, replay=replay.describe())
            for source, translator in translators.items()
        }

    def foreign() -> Counter[str]:
        return sum((translator.foreign for translator in translators.values()), Counter())

    statistics = Statistics(model)
    overview = Overview(config, model, statistics, link_states, foreign)
    feed = Feed(PublishedState(model, overview, History(uuid.uuid4().hex)))
    observer = Observer(model, statistics, translators, feed, translators.keys())
    service = IntrospectionService(Answers(model, feed), feed)
    server = listening.create_server()
    await service.register(server)
    addresses = listening.listen(server, config)
    await server.start()
    listening.protect(config)
    logger.info("introspection answers at %s", " and ".join(addresses))
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [
                tasks.create_task(replay.play(observer.receive, observer.settle), name="replay"),
                tasks.create_task(feed.run(), name="watch feed"),
            ]
            await stop.wait()
            for task in running:
                task.cancel()
        feed.close()
    finally:
        await service.stop()
        await server.stop(config.stop_timeout_s * _GRACE)
