import asyncio
from unittest.mock import Mock

from gateway.serve.connections.untaken import Untaken


def reader() -> Mock:
    return Mock(spec=asyncio.Transport)


def test_a_body_that_several_take_counts_once() -> None:
    untaken = Untaken(10)
    body = bytes(10)
    readers = [reader() for _ in range(5)]
    for each in readers:
        untaken.begin(each, body)
    assert untaken.size_bytes == 10
    for each in readers:
        untaken.end(each)
    assert untaken.size_bytes == 0
    assert not any(each.abort.called for each in readers)


def test_over_the_bound_who_takes_longest_goes() -> None:
    untaken = Untaken(10)
    readers = [reader() for _ in range(4)]
    for number, each in enumerate(readers):
        untaken.begin(each, bytes([number]) * 4)
    assert [each.abort.called for each in readers] == [True, True, False, False]
    assert untaken.size_bytes == 8
    # Those that were disconnected find it out later.
    for each in readers:
        untaken.end(each)
    assert untaken.size_bytes == 0


def test_one_body_over_the_bound_is_taken_if_it_is_alone() -> None:
    untaken = Untaken(10)
    one, other = reader(), reader()
    untaken.begin(one, bytes(20))
    assert not one.abort.called
    untaken.begin(other, b"a")
    assert one.abort.called
    assert not other.abort.called
