"""The route /metrics: a request comes in, one scrape of all serve processes goes out, in the format and coding that were asked for.

The values are those of one moment; writing them down takes milliseconds and is done in slices, between which others get their turn.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable
from copy import copy

import msgspec
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.serve.authentication.refusal import Refusals
from gateway.serve.encodings import IDENTITY, choose, compress, weights
from gateway.serve.metrics import families, itself, nativelink
from gateway.serve.metrics.latencies import Latencies
from gateway.serve.metrics.parts import Part, merged
from gateway.serve.metrics.scrape import Scrape
from gateway.serve.ongoing import Ongoing
from gateway.serve.overview import Overview
from gateway.serve.reply import NEGOTIATED, Reply
from gateway.serve.siblings import Siblings
from gateway.serve.upstream import Upstream

#: However many ask, and however often, a scrape is made so often at most.
KEPT_S = 0.25
#: Samples written before others get their turn: about a millisecond.
_SLICE = 100
#: What stands before a metric's samples.
_HEAD = re.compile(rb"\A(#[^\n]*\n)*")
#: OpenMetrics ends with it.
_END = b"# EOF\n"
_OPENMETRICS, _TEXT = "application/openmetrics-text", "text/plain"


class Exposition:
    """Everything that is known at the moment of a scrape, by this process and by those that answer on the same address.

    No registry: nothing that a library registers globally is shown.
    """

    def __init__(
        self,
        upstream: Upstream,
        overview: Overview,
        latencies: Latencies,
        refusals: Refusals,
        ongoing: Ongoing,
        siblings: Siblings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        """What it is made of.

        Args:
            upstream: who is followed.
            overview: who judges health.
            latencies: how long answers took.
            refusals: how often somebody was refused.
            ongoing: answers that go on.
            siblings: the other processes.
            now: Unix seconds.
        """
        self._upstream = upstream
        self._overview = overview
        self._latencies = latencies
        self._refusals = refusals
        self._ongoing = ongoing
        self._siblings = siblings
        self._now = now
        #: {(is OpenMetrics, coding): (when it was made, the body)}
        self._kept: dict[tuple[bool, str], tuple[float, bytes]] = {}
        self._making = asyncio.Lock()

    def part(self) -> Part:
        """What this process knows."""
        upstream, replica, process = self._upstream, self._upstream.replica, self._siblings.name
        state, own = Scrape(), Scrape()
        if replica is not None:
            # A state that is not current has the ages that it had.
            behind_s = upstream.silence_s() if upstream.is_away else 0.0
            nativelink.tell(state, replica, self._now() - behind_s)
            itself.tell_of_taps(state, replica.scheduler)
        itself.tell(own, process, upstream, self._overview.judge()[0], self._latencies, self._refusals, self._ongoing)
        return Part(
            process,
            replica is not None and not upstream.is_away,
            upstream.silence_s(),
            replica.epoch if replica is not None else "",
            replica.number if replica is not None else 0,
            state.samples(),
            own.samples(),
        )

    async def _scrape(self) -> Scrape:
        told = await self._siblings.ask()
        parts = [self.part(), *(msgspec.msgpack.decode(each, type=Part) for each in told.values() if each is not None)]
        scrape = merged(parts, [name for name, each in told.items() if each is None])
        scrape.put(families.INFO, 1, __version__)
        return scrape

    async def reply(self, accept: str, accept_encoding: str) -> Reply:
        """The answer to a scrape that sent these headers; "": it did not."""
        wants_openmetrics = is_openmetrics(accept)
        coding = choose(accept_encoding)
        body = await self._body(wants_openmetrics, coding)
        content_type = openmetrics.CONTENT_TYPE_LATEST if wants_openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        reply = Reply(body, content_type=content_type, caching=NEGOTIATED)
        if coding != IDENTITY:
            reply.headers["Content-Encoding"] = coding
        return reply

    async def _body(self, wants_openmetrics: bool, coding: str) -> bytes:
        key = (wants_openmetrics, coding)
        async with self._making:
            at, kept = time.monotonic(), self._kept.get(key)
            if kept is None or at - kept[0] >= KEPT_S:
                body = await _written(await self._scrape(), wants_openmetrics)
                kept = self._kept[key] = (at, body if coding == IDENTITY else compress(coding, body))
        return kept[1]


class _Slice(Collector):
    """Samples of one metric."""

    def __init__(self, metric: Metric, start: int) -> None:
        self._metric = copy(metric)
        self._metric.samples = metric.samples[start : start + _SLICE]

    def collect(self) -> list[Metric]:
        return [self._metric]


async def _written(metrics: Iterable[Metric], is_openmetrics: bool) -> bytes:
    generate = openmetrics.generate_latest if is_openmetrics else generate_latest
    parts: list[bytes] = []
    written = 0
    for metric in list(metrics):
        for start in range(0, len(metric.samples) or 1, _SLICE):
            part = generate(_Slice(metric, start)).removesuffix(_END)
            parts.append(_HEAD.sub(b"", part) if start else part)
            written += _SLICE if start else len(metric.samples)
            if written >= _SLICE:
                written = 0
                await asyncio.sleep(0)
    if is_openmetrics:
        parts.append(_END)
    return b"".join(parts)


def is_openmetrics(accept: str) -> bool:
    """Whether a client that sent this Accept is told OpenMetrics: it names it, and likes nothing that is text better."""
    liked = weights(accept)
    openmetrics_weight = liked.get(_OPENMETRICS, 0.0)
    return openmetrics_weight > 0 and openmetrics_weight >= liked.get(_TEXT, 0.0)
