from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.handover.messages import (
    PROTOCOL,
    Hello,
    MessageError,
    State,
    decode_open_state,
    encode_open_state,
)
from gateway.tap.moving import Moving, MovingSide, Reading

_SIDES = st.builds(
    MovingSide,
    is_gone=st.booleans(),
    descriptor=st.just(-1),
    unsent=st.binary(max_size=100),
    finished=st.booleans(),
    closing=st.booleans(),
    resetting=st.booleans(),
)
_CONNECTIONS = st.builds(
    Moving,
    number=st.integers(1, 2**32 - 1),
    listener=st.text(max_size=10),
    peer=st.text(max_size=10),
    reading=st.sampled_from(Reading),
    client=_SIDES,
    upstream=st.none() | _SIDES,
    by=st.integers(0, 3),
    with_reset=st.booleans(),
)
_STATES = st.builds(
    State,
    paused_ns=st.integers(0, 2**63),
    listeners=st.lists(st.text(max_size=5), max_size=3),
    connections=st.lists(_CONNECTIONS, max_size=5),
    records=st.binary(max_size=100),
)


@given(_STATES)
def test_a_state_is_read_as_it_was_written(state: State) -> None:
    assert State.decode(state.encode()) == state


def test_descriptors_of_the_process_that_writes_mean_nothing_to_the_other() -> None:
    side = MovingSide(descriptor=5)
    state = State(1, ["a"], [Moving(1, "a", "p", Reading.READ, side, None)], b"")
    (found,) = State.decode(state.encode()).connections
    assert found == state.connections[0]._replace(client=MovingSide())


def test_there_are_as_many_descriptors_as_listeners_and_sides_that_are_not_gone() -> None:
    gone, there = MovingSide(is_gone=True), MovingSide()
    connections = [Moving(1, "a", "p", Reading.READ, there, side) for side in (None, gone, there)]
    assert State(1, ["a", "b"], connections, b"").descriptors == 2 + 1 + 1 + 2


@given(_STATES, st.data())
def test_a_state_that_is_cut_off_is_none(state: State, data: st.DataObject) -> None:
    whole = state.encode()
    with pytest.raises(MessageError):
        State.decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_hello_is_read_as_it_was_written_and_may_say_more() -> None:
    hello = Hello(PROTOCOL, "0.1.0", "layout", supervised=True, taps=[["execution", "a:1", "b:2", ["execution"], None]])
    encoded = hello.encode()
    assert Hello.decode(encoded) == hello
    assert Hello.decode(encoded[:-1] + b', "more": 1}') == hello
    for other in (b"", b"[]", b"{}", b'{"protocol": 1}', b"\xff"):
        with pytest.raises(MessageError):
            Hello.decode(other)


def test_an_open_state_is_read_as_it_was_written() -> None:
    assert decode_open_state(encode_open_state(5, 6, b"state")) == (5, 6, b"state")
    with pytest.raises(MessageError):
        decode_open_state(b"short")


@pytest.mark.parametrize("side", ["[0, 9]", "[0, -1]", "[-1]", '["a"]', "[0, []]", pytest.param("[" * 100_000, id="deep")])
def test_a_side_that_is_none_makes_no_state(side: str) -> None:
    encoded = State(1, ["a"], [Moving(1, "a", "p", Reading.READ, MovingSide(), None)], b"records").encode()
    header = encoded[4 : -len(b"records")].replace(b"[0]", side.encode())
    with pytest.raises(MessageError):
        State.decode(len(header).to_bytes(4, "big") + header + b"records")
