"""Following: a gateway's events go out one by one, for as long as somebody wants them; a broken connection is made anew.

The gateway is told what was the last event, so that what happened meanwhile comes too. Where that is not possible any more, it says
`reset`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from http.client import HTTPException, HTTPResponse

from gateway.client.connection import Gateway, Parameters
from gateway.client.paths import EVENTS
from gateway.client.problems import NoAnswerError, NotReadyError, RefusedError
from gateway.client.sse import Event, Events, NoEventsError

#: The parameter that says where to begin, before there is an event to go on from.
SINCE = "since"
#: A gateway says something every 15 s. One that is silent for so long has gone without a word.
_SILENCE_S = 60.0
#: Between two attempts, where the gateway said nothing of it; and at most, whatever it said.
_RETRY_S, _MOST_RETRY_S = 2.0, 60.0
_PIECE_BYTES = 65_536
#: Of an id that is sent back in a header.
_MOST_ID = 1_000


class Following:
    """One gateway's events under some filters."""

    def __init__(
        self, gateway: Gateway, filters: Parameters, note: Callable[[str], None], *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Args: who is followed; parameters of the API; is told when it goes away and comes back; waits for so many seconds."""
        self._gateway = gateway
        self._filters = list(filters)
        self._note = note
        self._pause = pause
        self._last_id = ""
        self._retry_s = _RETRY_S

    def events(self) -> Iterator[Event]:
        """Every event, without end.

        Raises:
            QuestionError: there is no first connection, or a later one is refused; everything else is tried again.
        """
        response = self._connect()
        while True:
            why = yield from self._read(response)
            self._note(f"the gateway is away ({why}); trying again every {self._retry_s:g} s")
            response = self._connect_again()
            self._note("the gateway is back")

    def _read(self, response: HTTPResponse) -> Generator[Event, None, str]:
        """What one connection brings; returns why it ended."""
        events = Events(self._last_id)
        try:
            while piece := response.read1(_PIECE_BYTES):
                for event in events.feed(piece):
                    yield event
                    # From here on the gateway says where to go on.
                    self._filters = [each for each in self._filters if each[0] != SINCE]
        except OSError as error:
            return str(error) or type(error).__name__
        except HTTPException:
            # In the middle of a chunk.
            pass
        except NoEventsError as error:
            raise NoAnswerError(f"{self._gateway.url} sends what is no stream of events: {error}") from error
        finally:
            response.close()
            self._last_id = events.last_id
            if events.retry_ms is not None:
                self._retry_s = min(events.retry_ms / 1_000.0, _MOST_RETRY_S)
        return "it ended the stream"

    def _connect_again(self) -> HTTPResponse:
        while True:
            self._pause(self._retry_s)
            try:
                return self._connect()
            except RefusedError:
                raise
            except (NoAnswerError, NotReadyError):
                continue

    def _connect(self) -> HTTPResponse:
        id_ = self._last_id
        is_told = bool(id_) and id_.isascii() and id_.isprintable() and len(id_) <= _MOST_ID
        headers = {"Accept": Events.MEDIA_TYPE, **({"Last-Event-ID": id_} if is_told else {})}
        return self._gateway.follow(EVENTS, self._filters, headers, Events.MEDIA_TYPE, _SILENCE_S)
