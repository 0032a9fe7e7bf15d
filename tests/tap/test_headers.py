from __future__ import annotations

import pickle
import random
import string

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.headers import MAX_FIELDS, MAX_TABLE_BYTES, MAX_UNACKNOWLEDGED, WANTED, HeaderDecoder, HeaderError

_NAMES = [*(name.decode() for name in WANTED), "content-type", "x-other", "te", "authorization", "cookie"]


def _fields(chance: random.Random) -> list[tuple[str, str]]:
    def value() -> str:
        if chance.random() < 0.4:
            return chance.choice(["", "0", "200", "application/grpc", "/a.B/C"])
        return "".join(chance.choices(string.printable, k=chance.choice((1, 5, 40, 300))))

    return [(chance.choice(_NAMES), value()) for _ in range(chance.randrange(12))]


def test_values_and_tables_equal_hpacks_block_by_block() -> None:
    """The check against another implementation (tap-cost.md): random fields, sensitivities, table sizes, block after block."""
    for seed in range(60):
        chance = random.Random(seed)
        encoder, reference, decoder = Encoder(), Decoder(), HeaderDecoder()
        reference.max_allowed_table_size = 16384
        decoder.announced(16384)
        decoder.acknowledged()
        for _ in range(60):
            if chance.random() < 0.15:
                encoder.header_table_size = chance.choice((0, 64, 100, 1000, 4096, 16384))
            fields = [(name, value, chance.random() < 0.2) for name, value in _fields(chance)]
            block = encoder.encode(fields, huffman=chance.random() < 0.6)
            expected = dict(reference.decode(block, raw=True))
            assert decoder.decode(block) == {name: value for name, value in expected.items() if name in WANTED}
            assert decoder.table == tuple(reference.header_table.dynamic_entries)


def test_damaged_blocks_are_errors_where_hpack_has_errors_and_tables_stay_equal() -> None:
    for seed in range(400):
        chance = random.Random(seed)
        encoder, reference, decoder = Encoder(), Decoder(max_header_list_size=2**40), HeaderDecoder()
        for _ in range(10):
            block = bytearray(encoder.encode(_fields(chance), huffman=chance.random() < 0.5))
            if block and chance.random() < 0.5:
                block[chance.randrange(len(block))] = chance.randrange(256)
            try:
                expected = dict(reference.decode(bytes(block), raw=True))
            except HPACKError:
                # Ours may be more lenient: a value that is stepped over is not checked.
                break
            try:
                found = decoder.decode(bytes(block))
            except HeaderError as error:
                found = {b"": str(error).encode()}
            if found == {b"": b"integer"}:
                break  # 32 bits are enough for us
            assert found == {name: value for name, value in expected.items() if name in WANTED}
            assert decoder.table == tuple(reference.header_table.dynamic_entries)


@given(st.binary(max_size=120))
def test_any_bytes_are_fields_or_a_header_error(block: bytes) -> None:
    decoder = HeaderDecoder()
    for _ in range(2):
        try:
            decoder.decode(block)
        except HeaderError:
            return


def _resized(size: int) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = size
    return encoder.encode([("te", "trailers")])


def test_a_larger_table_is_refused_until_it_is_announced() -> None:
    with pytest.raises(HeaderError):
        HeaderDecoder().decode(_resized(8192))
    decoder = HeaderDecoder()
    decoder.announced(8192)
    decoder.decode(_resized(8192))
    decoder.acknowledged()
    decoder.decode(_resized(8192))


def test_a_smaller_table_counts_from_the_acknowledgement_on() -> None:
    decoder = HeaderDecoder()
    decoder.announced(None)
    decoder.announced(100)
    decoder.decode(_resized(4096))
    decoder.acknowledged()
    decoder.decode(_resized(4096))
    decoder.acknowledged()
    with pytest.raises(HeaderError):
        decoder.decode(_resized(4096))


def test_an_encoder_that_does_not_make_its_table_smaller_is_an_error() -> None:
    decoder = HeaderDecoder()
    decoder.announced(0)
    decoder.acknowledged()
    with pytest.raises(HeaderError):
        decoder.decode(Encoder().encode([("te", "trailers")]))


def test_an_acknowledgement_of_nothing_changes_nothing() -> None:
    decoder = HeaderDecoder()
    decoder.acknowledged()
    assert decoder.decode(Encoder().encode([("grpc-status", "0")])) == {b"grpc-status": b"0"}


def test_a_table_over_the_bound_is_refused_although_it_was_agreed() -> None:
    decoder = HeaderDecoder()
    decoder.announced(2 * MAX_TABLE_BYTES)
    decoder.acknowledged()
    with pytest.raises(HeaderError):
        decoder.decode(_resized(2 * MAX_TABLE_BYTES))


def test_an_hpack_bomb_of_one_byte_fields_is_refused() -> None:
    with pytest.raises(HeaderError):
        HeaderDecoder().decode(b"\x82" * (MAX_FIELDS + 1))


def test_settings_that_are_never_acknowledged_are_bounded() -> None:
    decoder = HeaderDecoder()
    for _ in range(MAX_UNACKNOWLEDGED):
        decoder.announced(None)
    with pytest.raises(HeaderError):
        decoder.announced(None)


def test_table_size_updates_count_as_fields() -> None:
    with pytest.raises(HeaderError, match="too many"):
        HeaderDecoder().decode(b"\x20" * (MAX_FIELDS + 1))


def test_what_is_allowed_is_the_largest_that_waits_for_its_acknowledgement() -> None:
    decoder = HeaderDecoder()
    for size in (8192, None, 100, 6000):
        decoder.announced(size)
    for allowed in (8192, 8192, 8192, 6000, 6000):
        decoder.decode(_resized(allowed))
        with pytest.raises(HeaderError):
            decoder.decode(_resized(allowed + 1))
        decoder = pickle.loads(pickle.dumps(decoder))  # noqa: S301 - our own
        decoder.acknowledged()
