"""Actions: believed only when they are what their digest says, remembered within a bound."""

from __future__ import annotations

import hashlib

import pytest

from gateway.model.identity import Digest
from gateway.observe.actions import MISSING_FOR_S, ActionContent, ActionName, KnownActions, UnbelievableError, read_action
from gateway.pb import remote_execution_pb2 as reapi


def action(**fields: object) -> bytes:
    return reapi.Action(**fields).SerializeToString()  # type: ignore[arg-type]  # a test's own words


def digest_of(data: bytes, function: str = "sha256") -> Digest:
    return Digest(function, hashlib.new(function, data).hexdigest(), len(data))


@pytest.mark.parametrize("function", ["md5", "sha1", "sha256", "sha384", "sha512"])
def test_an_action_is_read_with_digests_of_its_own_function(function: str) -> None:
    message = reapi.Action(
        command_digest=reapi.Digest(hash="C0" * 4, size_bytes=1),
        input_root_digest=reapi.Digest(hash="d0", size_bytes=2),
        platform=reapi.Platform(properties=[reapi.Platform.Property(name="pool", value="a")]),
    )
    message.timeout.seconds = 3
    message.timeout.nanos = 5
    data = message.SerializeToString()
    content = read_action(digest_of(data, function), data)
    assert content == ActionContent(
        command_digest=Digest(function, "c0c0c0c0", 1),
        input_root_digest=Digest(function, "d0", 2),
        timeout=3_000_000_005,
        platform=(("pool", "a"),),
    )


def test_what_an_action_does_not_say_is_not_known() -> None:
    data = action(do_not_cache=True)
    assert read_action(digest_of(data), data) == ActionContent(None, None, None, ())


def test_a_function_that_python_lacks_is_believed_by_size() -> None:
    data = action(do_not_cache=True)
    assert read_action(Digest("blake3", "00", len(data)), data) == ActionContent(None, None, None, ())


def test_other_sizes_other_hashes_and_other_messages_are_not_believed() -> None:
    data = action(do_not_cache=True)
    digest = digest_of(data)
    garbage = b"\xff\xff"
    for wrong in (data + data, b""):
        with pytest.raises(UnbelievableError, match="bytes instead of"):
            read_action(digest, wrong)
    with pytest.raises(UnbelievableError, match="sha256 is another"):
        read_action(digest, b"x" * len(data))
    with pytest.raises(UnbelievableError, match="does not parse"):
        read_action(digest_of(garbage), garbage)


def name(number: int) -> ActionName:
    return ActionName("main", Digest("sha256", f"{number:064x}", 10))


def test_the_least_recently_wanted_goes_first() -> None:
    known = KnownActions(2)
    content = ActionContent(None, None, None, ())
    known.remember(name(1), content)
    known.remember(name(2), content)
    assert known.get(name(1)) is content
    known.miss(name(3), now=0)
    assert known.get(name(2)) is None
    assert known.get(name(1)) is content
    assert len(known) == 2


def test_a_miss_is_remembered_for_a_while() -> None:
    known = KnownActions(2)
    known.miss(name(1), now=100)
    assert known.get(name(1)) is None
    assert known.is_missing(name(1), now=100 + MISSING_FOR_S - 1)
    assert not known.is_missing(name(1), now=100 + MISSING_FOR_S)
    assert not known.is_missing(name(2), now=100)
