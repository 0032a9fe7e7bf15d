"""Compressed gRPC messages (grpc-encoding, gRPC over HTTP/2 "Compression"): compressed bytes in, at most `limit` bytes out.

Memory and work are bounded by the limit, and by what came on the wire (MAX_RATIO), not by what the bytes claim. More than one
compressed member is none: the first would pass for the whole.
"""

from __future__ import annotations

import zlib

import zstandard

#: zlib's window bits: gzip's header and trailer, or zlib's own, which gRPC calls "deflate".
_WINDOW_BITS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
#: RFC 8878 3.1.1.1.2 recommends decoders to support windows of up to 8 MiB; a frame that wants more is refused.
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
#: What a byte may become: as many as deflate can make of one (zlib.net, "Maximum Compression Factor"). A bomb of zstd makes 30,000.
MAX_RATIO = 1032


class InflateError(ValueError):
    """The compressed bytes are damaged or cut off."""


class TooLargeError(InflateError):
    """What comes out is over the limit."""


class UnknownEncodingError(InflateError):
    """An encoding that the tap cannot undo."""


def inflate(encoding: bytes, data: bytes, limit: int) -> bytes:
    """Undoes `encoding`.

    Raises:
        InflateError: or one of its kinds.
    """
    limit = min(limit, MAX_RATIO * len(data))
    window_bits = _WINDOW_BITS.get(encoding)
    if window_bits is not None:
        return _zlib(data, window_bits, limit)
    if encoding == b"zstd":
        return _zstd(data, limit)
    raise UnknownEncodingError(encoding.decode("ascii", "replace"))


def _zlib(data: bytes, window_bits: int, limit: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    try:
        inflated = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise InflateError(str(error)) from None
    if len(inflated) > limit:
        raise TooLargeError
    if not inflater.eof or inflater.unused_data:
        raise InflateError("cut off, or more than one")
    return inflated


def _zstd(data: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    try:
        # The reader keeps to the limit but does not tell a cut-off frame; the second pass, its size now known, does.
        with decompressor.stream_reader(data, read_across_frames=False) as reader:
            if len(reader.read(limit + 1)) > limit:
                raise TooLargeError
        inflater = decompressor.decompressobj()
        inflated = inflater.decompress(data)
    except zstandard.ZstdError as error:
        raise InflateError(str(error)) from None
    if not inflater.eof or inflater.unused_data:
        raise InflateError("cut off, or more than one")
    return inflated
