"""Length-delimited protobuf by hand, against protobuf's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.wire import FramingError, Splitter, delimited, field, varint
from gateway.pb import introspection_pb2 as pb

messages = st.lists(st.binary(max_size=300), max_size=20)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_the_one_that_protobuf_writes(number: int) -> None:
    written = pb.Revision(number=number).SerializeToString()
    assert written == (b"\x10" + varint(number) if number else b"")


@given(messages, st.data())
def test_messages_come_out_whole_however_their_bytes_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(delimited, parts))
    splitter = Splitter(1000)
    out = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        out += [bytes(message) for message in splitter.feed(stream[:cut])]
        stream = stream[cut:]
    assert out == parts


@pytest.mark.parametrize("data", [varint(11) + b"x", b"\xff\xff\xff\xff\xff\xff"], ids=["too long", "no length"])
def test_what_cannot_be_framed_is_an_error(data: bytes) -> None:
    with pytest.raises(FramingError):
        list(Splitter(10).feed(data))


def test_parts_that_are_encoded_already_make_a_message() -> None:
    workers = [pb.Worker(id="a"), pb.Worker(id="b" * 300)]
    batch = pb.ChangeBatch(revision=pb.Revision(number=3)).SerializeToString()
    batch += b"".join(field(pb.ChangeBatch.WORKERS_FIELD_NUMBER, [worker.SerializeToString() for worker in workers]))
    assert pb.ChangeBatch.FromString(batch) == pb.ChangeBatch(revision=pb.Revision(number=3), workers=workers)
