from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import sse
from gateway.client.sse import Event, Events, NoEventsError

#: Every thing that the standard says something about; with the ends of lines that it allows.
STREAM = (
    b"\xef\xbb\xbfretry: 2000\n\n"
    b"id: e-1\nevent: operation\ndata: {}\n\n"
    b": a comment\r\n\r\n"
    b"data:first\rdata: second\r\r"
    b":\nid: e-2\n\n"
    b"data\r\n\r\n"
    b"event: lost\n\n"
    b"id: with\0nul\nnever: heard of\nretry: soon\ndata:  two spaces \xff\n\n"
    b"id\nevent: reset\ndata: {}\n\n"
    b"data: not complete\n"
)
EVENTS = [
    Event("operation", "{}", "e-1"),
    Event("message", "first\nsecond", "e-1"),
    Event("message", "", "e-2"),
    Event("message", " two spaces \ufffd", "e-2"),
    Event("reset", "{}", ""),
]


def read(pieces: list[bytes]) -> tuple[list[Event], Events]:
    events = Events()
    return [event for piece in pieces for event in events.feed(piece)], events


def test_a_stream_is_read_as_the_standard_says() -> None:
    found, events = read([STREAM])
    assert found == EVENTS
    assert (events.last_id, events.retry_ms) == ("", 2_000)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_it_does_not_matter_in_which_pieces_it_comes(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in itertools.pairwise(places)]
    assert read(pieces)[0] == EVENTS


def test_an_id_without_an_event_counts_and_is_carried_on() -> None:
    found, events = read([b"id: e-7\n\n", b": still here\n\n"])
    assert (found, events.last_id) == ([], "e-7")
    again = Events("e-7")
    assert list(again.feed(b"data: x\n\n")) == [Event("message", "x", "e-7")]


def test_an_id_counts_when_its_block_is_complete() -> None:
    assert read([b"id: e-8\ndata: x\n"])[1].last_id == ""


@given(st.binary())
def test_any_bytes_are_a_stream(noise: bytes) -> None:
    assert all("\n" not in event.kind for event in read([noise])[0])


@pytest.mark.parametrize("noise", [b"x" * 11, b"data: xx\n" * 2])
def test_an_event_without_end_is_refused(noise: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 10)
    with pytest.raises(NoEventsError):
        read([noise])
    assert len(read([b"data: x\n\n"] * 9)[0]) == 9
