from __future__ import annotations

import asyncio
from itertools import islice

import pytest

from gateway.client import following, sse
from gateway.client.connection import Gateway
from gateway.client.following import Following
from gateway.client.problems import MistakeError, NoAnswerError, NotReadyError, RefusedError
from gateway.client.sse import Event
from tests.client.peer import peering, response
from tests.client.publishing import CUT, Publisher, block, publishing


class Follower:
    """Follows in a thread; what it notes and how long it pauses is kept."""

    def __init__(self, url: str, *filters: tuple[str, str]) -> None:
        self.notes: list[str] = []
        self.pauses: list[float] = []
        self._gateway = Gateway(url, None)
        self._events = Following(self._gateway, filters, self.notes.append, pause=self.pauses.append).events()

    async def take(self, count: int = 1) -> list[Event]:
        return await asyncio.to_thread(lambda: list(islice(self._events, count)))

    def close(self) -> None:
        self._events.close()  # type: ignore[attr-defined] # it is a generator
        self._gateway.close()


def ids(publisher: Publisher) -> list[str | None]:
    return [last_id for _, last_id in publisher.came]


async def test_events_come_as_they_happen_under_the_filters() -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url, ("stage", "queued"), ("property.a b", "c&d"))
        publisher.say(block("snapshot", "{}", "e-1"), b":\nid: e-2\n\n", block("operation", "{}", "e-3"))
        assert await follower.take(2) == [Event("snapshot", "{}", "e-1"), Event("operation", "{}", "e-3")]
        assert publisher.came == [("/api/v1/events?stage=queued&property.a+b=c%26d".replace("+", "%20"), None)]
        follower.close()


async def test_a_broken_connection_goes_on_behind_the_last_event_and_what_it_was_told_to_begin_with_is_over() -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url, ("since", "e-0"))
        publisher.say(CUT, block("operation", "1", "e-3"), b":\nid: e-4\n\n", CUT, block("operation", "2", "e-5"))
        assert [event.data for event in await follower.take(2)] == ["1", "2"]
        assert publisher.came == [("/api/v1/events?since=e-0", None)] * 2 + [("/api/v1/events", "e-4")]
        assert (
            follower.notes
            == [
                "the gateway is away (it ended the stream); trying again every 0.01 s",
                "the gateway is back",
            ]
            * 2
        )
        assert follower.pauses == [0.01, 0.01]
        follower.close()


async def test_behind_a_reset_it_begins_anew() -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        publisher.say(block("operation", "1", "e-3"), block("reset", "{}"), CUT, block("snapshot", "{}", "f-1"))
        assert [event.kind for event in await follower.take(3)] == ["operation", "reset", "snapshot"]
        assert ids(publisher) == [None, None]
        follower.close()


async def test_a_gateway_that_is_not_ready_or_not_itself_for_a_while_is_asked_again() -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        publisher.say(block("operation", "1", "e-3"))
        await follower.take()
        publisher.refusals = [503, 500]
        publisher.say(CUT, block("operation", "2", "e-4"))
        assert [event.data for event in await follower.take()] == ["2"]
        assert ids(publisher) == [None, "e-3", "e-3", "e-3"]
        assert len(follower.notes) == 2
        follower.close()


async def test_a_gateway_that_does_not_let_us_read_any_more_is_not_asked_again() -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        publisher.say(block("operation", "1", "e-3"))
        await follower.take()
        publisher.refusals = [401]
        publisher.say(CUT)
        with pytest.raises(RefusedError):
            await follower.take()
        assert len(publisher.came) == 2
        follower.close()


@pytest.mark.parametrize(("status", "kind"), [(400, MistakeError), (403, RefusedError), (503, NotReadyError), (500, NoAnswerError)])
async def test_what_is_refused_at_once_is_told(status: int, kind: type[Exception]) -> None:
    async with publishing() as publisher:
        publisher.refusals = [status]
        follower = Follower(publisher.url)
        with pytest.raises(kind):
            await follower.take()
        follower.close()


async def test_silence_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_SILENCE_S", 0.3)
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        taking = asyncio.create_task(follower.take())
        while not follower.notes:  # noqa: ASYNC110 # of another thread
            await asyncio.sleep(0.01)
        publisher.say(*[block("operation", "1", "e-3")] * 20)
        assert [event.data for event in await taking] == ["1"]
        assert "timed out" in follower.notes[0]
        follower.close()


async def test_what_is_no_stream_of_events_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 100)
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        publisher.say(b"data: " + b"x" * 200)
        with pytest.raises(NoAnswerError, match="no stream of events"):
            await follower.take()
        follower.close()
    async with peering(lambda _: [response(200, b"[]", Content_Type="application/json")]) as peer:
        follower = Follower(peer.url)
        with pytest.raises(NoAnswerError, match="its answer is not text/event-stream"):
            await follower.take()
        follower.close()


@pytest.mark.parametrize("id_", ["ä", "x" * 1_001, "a\x01b"])
async def test_an_id_that_no_header_should_have_is_not_sent(id_: str) -> None:
    async with publishing() as publisher:
        follower = Follower(publisher.url)
        publisher.say(block("operation", "1", id_), CUT, block("operation", "2", "e-1"))
        await follower.take(2)
        assert ids(publisher) == [None, None]
        follower.close()
