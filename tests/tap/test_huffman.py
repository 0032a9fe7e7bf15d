from __future__ import annotations

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.huffman import HuffmanError, decode

_ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=300))
def test_what_hpack_codes_reads_back(plain: bytes) -> None:
    assert decode(_ENCODER.encode(plain)) == plain


@given(st.binary(max_size=40))
def test_any_bytes_decode_as_hpack_decodes_them(coded: bytes) -> None:
    try:
        expected: bytes | None = decode_huffman(coded)
    except HPACKDecodingError:
        expected = None
    try:
        found: bytes | None = decode(coded)
    except HuffmanError:
        found = None
    assert found == expected


@pytest.mark.parametrize("coded", [b"\xff\xff\xff\xff", b"\xff", b"\x00"])
def test_end_of_string_and_wrong_padding_are_errors(coded: bytes) -> None:
    with pytest.raises(HuffmanError):
        decode(coded)
