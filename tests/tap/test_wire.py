from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import tap_pb2
from gateway.tap import wire


@given(st.integers(0, 2**64 - 1))
def test_varints_are_protobufs_and_read_back(value: int) -> None:
    encoded = wire.varint(value)
    assert encoded == (tap_pb2.Tick(ring_bytes=value).SerializeToString()[1:] or b"\0")
    assert wire.read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


def test_fields_read_back_with_their_bounds() -> None:
    message = tap_pb2.TapRecord(sequence=7, connection=3, admin_call=tap_pb2.AdminCall(request="r", status=300)).SerializeToString()
    fields = []
    pos = 0
    while pos < len(message):
        number, wire_type, start, pos = wire.read_field(message, pos, len(message))
        fields.append((number, wire_type, pos - start))
    assert fields == [(1, wire.FIXED64, 8), (3, wire.FIXED32, 4), (14, wire.LENGTH_DELIMITED, 6)]


@pytest.mark.parametrize(
    "bad", [b"\x80", b"\xff" * 11, b"\x0a\x05abc", b"\x09\x00", b"\x0d\x00", b"\x0b\x0c", b"\x00\x01", b"\x0f"]
)
def test_what_is_cut_off_or_no_field_is_malformed(bad: bytes) -> None:
    with pytest.raises(wire.MalformedError):
        wire.read_field(bad, 0, len(bad))


def test_absent_text_and_zero_take_no_bytes() -> None:
    assert wire.text(1, "") == b""
    assert wire.number(1, 0) == b""


def test_text_that_utf8_cannot_say_is_still_a_string() -> None:
    assert wire.text(1, "a\udce4") == b"\x0a\x02a?"
