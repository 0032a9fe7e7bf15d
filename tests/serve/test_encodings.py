from __future__ import annotations

import asyncio
import gzip

import pytest
import zstandard

from gateway.serve import encodings
from gateway.serve.bodies import Bodies, ListBody
from gateway.serve.encodings import CODINGS, Twins, choose, compress


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", "identity"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZIP;Q=1.0, zstd;q=0.5", "gzip"),
        ("*", "gzip"),
        ("*;q=0.5, zstd;q=0", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0.5, identity;q=0.4", "gzip"),
        ("br, deflate", "identity"),
        ("gzip;q=x, zstd;q=7, , ;", "identity"),
    ],
)
def test_the_coding_is_the_one_that_the_client_likes_best(accepted: str, coding: str) -> None:
    assert choose(accepted) == coding


def test_what_is_compressed_can_be_read_again_and_is_the_same_each_time() -> None:
    data = b'{"id":"worker"},' * 1000
    assert gzip.decompress(compress("gzip", data)) == data
    assert zstandard.ZstdDecompressor().decompress(compress("zstd", data)) == data
    for coding in CODINGS:
        assert compress(coding, data) == compress(coding, data)
        assert len(compress(coding, data)) < len(data) / 10


@pytest.mark.parametrize("size", [2_000, 1_000_000], ids=["on the loop", "in a thread"])
async def test_a_twin_is_made_once_and_counted_where_its_body_is_kept(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(coding: str, data: bytes) -> bytes:
        made.append(coding)
        return compress(coding, data)

    monkeypatch.setattr(encodings, "compress", counted)
    bodies, twins, body = Bodies(), Twins(), ListBody(b"a" * size, 1, "")
    bodies.put("query", 1, body)
    first, second = await asyncio.gather(twins.get(body, "gzip", bodies), twins.get(body, "gzip", bodies))
    third = await twins.get(body, "gzip", bodies)
    assert gzip.decompress(first) == body.json
    assert first is second is third
    assert made == ["gzip"]
    assert bodies.size_bytes == body.size_bytes == size + len(first)
    bodies.put("query", 2, ListBody(b"", 0, ""))
    assert bodies.size_bytes == 0


async def test_a_twin_of_a_body_that_is_not_kept_any_more_counts_for_nothing() -> None:
    bodies, body = Bodies(), ListBody(b"a" * 2_000, 1, "")
    await Twins().get(body, "zstd", bodies)
    assert bodies.size_bytes == 0


async def test_twins_are_within_the_bound_too() -> None:
    bodies, body = Bodies(kept_bytes=2_010), ListBody(b"a" * 2_000, 1, "")
    bodies.put("query", 1, body)
    await Twins().get(body, "zstd", bodies)
    assert bodies.get("query", 1) is None
    assert bodies.size_bytes == 0


async def test_who_asks_and_goes_takes_nothing_from_the_others() -> None:
    bodies, twins, body = Bodies(), Twins(), ListBody(b"a" * 1_000_000, 1, "")
    impatient = asyncio.create_task(twins.get(body, "gzip", bodies))
    patient = asyncio.create_task(twins.get(body, "gzip", bodies))
    await asyncio.sleep(0)
    impatient.cancel()
    assert gzip.decompress(await patient) == body.json
    assert impatient.cancelled()
