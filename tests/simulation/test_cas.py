from __future__ import annotations

from gateway.simulation.cas import Cas, digest_of


def test_a_blob_is_found_by_its_hash_and_size() -> None:
    cas = Cas()
    digest = cas.put(b"blob")
    assert cas.get(digest) == b"blob"
    digest.size_bytes = 5
    assert cas.get(digest) is None


def test_the_empty_blob_is_always_there_at_the_start() -> None:
    assert Cas().get(digest_of(b"")) == b""


def test_at_the_bound_the_oldest_blob_gives_way() -> None:
    cas = Cas(max_blobs=2)
    digests = [cas.put(data) for data in (b"1", b"2", b"3")]
    assert [cas.get(digest) for digest in digests] == [None, b"2", b"3"]
    assert len(cas) == 2


def test_a_blob_can_be_lost() -> None:
    cas = Cas()
    digest = cas.put(b"blob")
    cas.forget(digest)
    assert cas.get(digest) is None
