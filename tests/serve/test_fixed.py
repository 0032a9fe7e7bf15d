import gzip

import pytest
import zstandard

from gateway.serve.asked import Asked
from gateway.serve.encodings import LEAST_BYTES
from gateway.serve.fixed import Fixed
from gateway.serve.target import Target

LONG = b"[%s]" % b",".join([b"1"] * LEAST_BYTES)


def asked(accepts: str = "", if_none_match: str | None = None) -> Asked:
    headers = {"Accept-Encoding": accepts} | ({"If-None-Match": if_none_match} if if_none_match is not None else {})
    return Asked(Target("/", ()), "", headers)


def test_each_coding_has_its_own_tag_and_is_made_once() -> None:
    fixed = Fixed(LONG)
    replies = {coding: fixed.reply(asked(coding)) for coding in ("", "gzip", "zstd")}
    assert replies[""]._body == LONG
    assert gzip.decompress(replies["gzip"]._body) == LONG
    assert zstandard.ZstdDecompressor().decompress(replies["zstd"]._body) == LONG
    assert len({reply.headers["ETag"] for reply in replies.values()}) == 3
    for coding, reply in replies.items():
        assert reply.headers.get("Content-Encoding", "") == coding
        assert fixed.reply(asked(coding))._body is reply._body


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_who_has_it_is_not_sent_it(coding: str) -> None:
    fixed = Fixed(LONG)
    first = fixed.reply(asked(coding))
    again = fixed.reply(asked(coding, first.headers["ETag"]))
    assert (again.status, again._body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Content-Encoding" not in again.headers


def test_what_is_short_is_never_compressed() -> None:
    reply = Fixed(b"[]").reply(asked("gzip"))
    assert (reply._body, "Content-Encoding" in reply.headers) == (b"[]", False)
