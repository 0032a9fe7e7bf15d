from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.inflate import MAX_RATIO, InflateError, TooLargeError, UnknownEncodingError, inflate

_COMPRESS: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"zstd": zstandard.ZstdCompressor().compress,
}
_ENCODINGS = sorted(_COMPRESS)


@pytest.mark.parametrize("encoding", _ENCODINGS)
@given(plain=st.binary(max_size=2000))
def test_what_was_compressed_comes_back(encoding: bytes, plain: bytes) -> None:
    assert inflate(encoding, _COMPRESS[encoding](plain), len(plain)) == plain


def test_a_zstd_frame_that_does_not_say_its_size_comes_back() -> None:
    compressed = zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 5000)
    assert inflate(b"zstd", compressed, 5000) == b"a" * 5000
    with pytest.raises(TooLargeError):
        inflate(b"zstd", compressed, 4999)


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_a_bomb_is_too_large(encoding: bytes) -> None:
    with pytest.raises(TooLargeError):
        inflate(encoding, _COMPRESS[encoding](bytes(50_000_000)), 1000)


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_cut_off_or_damaged_bytes_are_an_error(encoding: bytes) -> None:
    compressed = _COMPRESS[encoding](bytes(range(256)) * 9)
    for damaged in (b"", compressed[:-1], compressed[: len(compressed) // 2], b"\x99" + compressed):
        with pytest.raises(InflateError):
            inflate(encoding, damaged, 10_000)


def test_a_zstd_window_over_the_bound_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    chunks = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    compressed = chunks.compress(b"a" * 100_000) + chunks.flush()
    with pytest.raises(InflateError):
        inflate(b"zstd", compressed, 200_000)


@pytest.mark.parametrize("encoding", [b"", b"identity", b"snappy"])
def test_other_encodings_are_unknown(encoding: bytes) -> None:
    with pytest.raises(UnknownEncodingError):
        inflate(encoding, b"data", 100)


@pytest.mark.parametrize("encoding", _ENCODINGS)
def test_more_than_one_is_an_error_and_not_the_first_of_them(encoding: bytes) -> None:
    compressed = _COMPRESS[encoding](b"a")
    for more in (compressed, b"?"):
        with pytest.raises(InflateError):
            inflate(encoding, compressed + more, 100)


def test_deflate_never_reaches_the_ratio_and_zstd_is_held_to_it() -> None:
    plain = bytes(10_000_000)
    for encoding in (b"gzip", b"deflate"):
        assert inflate(encoding, _COMPRESS[encoding](plain), len(plain)) == plain
    compressed = _COMPRESS[b"zstd"](plain)
    assert len(plain) > MAX_RATIO * len(compressed)
    with pytest.raises(TooLargeError):
        inflate(b"zstd", compressed, len(plain))
