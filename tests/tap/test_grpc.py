from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.grpc import Framed, MessageReader
from tests.tap.frames import grpc

_LIMIT = 50


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=100)), max_size=8), st.lists(st.integers(1, 30)))
def test_messages_come_out_whole_however_they_are_cut(messages: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(grpc(payload, compressed) for compressed, payload in messages)
    reader = MessageReader(_LIMIT)
    found = []
    pos = 0
    for cut in [*cuts, len(data)]:
        stop = min(pos + cut, len(data))
        found += reader.feed(data, pos, stop)
        pos = stop
    assert found == [
        Framed(compressed, payload if len(payload) <= _LIMIT else None, len(payload)) for compressed, payload in messages
    ]
    assert reader.idle
    assert reader.held == 0


def test_a_message_over_the_limit_is_counted_and_not_kept() -> None:
    reader = MessageReader(10)
    data = grpc(b"x" * 1000)
    assert reader.feed(data, 0, 900) == []
    assert reader.held == 0
    assert reader.feed(data, 900, len(data)) == [Framed(0, None, 1000)]


def test_what_is_kept_of_a_message_is_counted() -> None:
    reader = MessageReader(100)
    reader.feed(grpc(b"x" * 50), 0, 25)
    assert reader.held == 20
    assert not reader.idle
