from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import tap_pb2
from gateway.tap.requests import RequestFrames, read_acknowledgement, read_request
from gateway.tap.wire import MalformedError
from tests.tap.running import delimited


@given(st.lists(st.binary(max_size=100), max_size=8), st.integers(1, 40))
def test_messages_come_out_whole_however_they_are_cut(messages: list[bytes], size: int) -> None:
    said = b"".join(map(delimited, messages))
    frames = RequestFrames()
    assert [found for at in range(0, len(said), size) for found in frames.feed(said[at : at + size])] == messages


@given(st.text(max_size=40), st.integers(0, 2**64 - 1))
def test_what_protobuf_writes_is_read(run: str, sequence: int) -> None:
    assert read_request(tap_pb2.ReadRequest(run=run, next_sequence=sequence).SerializeToString()) == (run, sequence)
    assert read_acknowledgement(tap_pb2.Acknowledgement(sequence=sequence).SerializeToString()) == sequence


@pytest.mark.parametrize("said", [b"\xff" * 11, b"\xff\xff\x03"])
def test_what_is_longer_than_any_message_is_none(said: bytes) -> None:
    with pytest.raises(MalformedError):
        list(RequestFrames().feed(said))
