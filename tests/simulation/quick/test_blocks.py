from __future__ import annotations

import base64

import pytest
from hpack import Decoder

from gateway.simulation.quick import blocks


def _fields(decoder: Decoder, block: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in decoder.decode(block)}


@pytest.mark.parametrize("length", [0, 1, 90, 94, 95, 96, 300, 20_000])
def test_requests_say_the_same_the_first_time_and_later_whatever_they_carry(length: int) -> None:
    decoder = Decoder(max_header_list_size=100_000)
    value = bytes(number % 251 for number in range(length))
    first, further = blocks.requests("/service/Method", "agent/1")
    assert len(further) < len(first)
    found = [_fields(decoder, block + blocks.metadata(value)) for block in (first, further, further)]
    assert found[0] == found[1] == found[2]
    assert (found[0][":path"], found[0]["user-agent"]) == ("/service/Method", "agent/1")
    carried = found[0]["build.bazel.remote.execution.v2.requestmetadata-bin"]
    assert base64.b64decode(carried + "=" * (-len(carried) % 4)) == value


def test_answers_can_be_repeated_on_any_connection() -> None:
    decoder = Decoder()
    for _ in range(3):
        assert _fields(decoder, blocks.HEAD) == {":status": "200", "content-type": "application/grpc"}
        assert _fields(decoder, blocks.TAIL) == {"grpc-status": "0"}
        assert _fields(decoder, blocks.failure(9, "no"))["grpc-message"] == "no"
    assert not decoder.header_table.dynamic_entries
