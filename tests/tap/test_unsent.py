from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.unsent import Unsent


@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(0, 60)), max_size=30))
def test_it_is_what_a_buffer_that_empties_in_order_holds(writes: list[tuple[bytes, int]]) -> None:
    unsent, buffer = Unsent(), b""
    for data, taken in writes:
        buffer = (buffer + data)[taken:]
        unsent.wrote(data, len(buffer))
        assert unsent.last(len(buffer)) == buffer
        # More leaves between two writes.
        buffer = buffer[taken // 2 :]
        assert unsent.last(len(buffer)) == buffer
        unsent.let_go(len(buffer))
        assert unsent.last(len(buffer)) == buffer


def test_what_was_sent_is_let_go() -> None:
    unsent = Unsent()
    unsent.wrote(b"a" * 100, 100)
    unsent.wrote(b"b", 1)
    assert unsent.kept_bytes == 1
    for _ in range(1000):
        unsent.wrote(b"c" * 10, 15)
    assert unsent.kept_bytes <= 30
    unsent.let_go(3)
    assert unsent.last(3) == b"ccc"
    unsent.let_go(0)
    assert unsent.kept_bytes == 0
