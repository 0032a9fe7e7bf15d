"""Values of the wire as values of the model."""

from __future__ import annotations

import pytest

from gateway.observe import decoding
from gateway.pb import remote_execution_pb2 as reapi
from tests.observe.records import HASH, execute_request


@pytest.mark.parametrize(
    ("hash_", "number", "function"),
    [
        (HASH, 0, "sha256"),
        (HASH, 1, "sha256"),
        (HASH, 9, "blake3"),
        (HASH, 99, "sha256"),
        ("ab" * 16, 0, "md5"),
        ("ab" * 20, 0, "sha1"),
        ("ab" * 48, 0, "sha384"),
        ("ab" * 64, 0, "sha512"),
        ("ab" * 9, 0, ""),
    ],
)
def test_a_digest_function_is_the_requests_or_told_by_length(hash_: str, number: int, function: str) -> None:
    assert decoding.digest(reapi.Digest(hash=hash_), number).function == function


def test_hashes_are_lower_case() -> None:
    assert decoding.digest(reapi.Digest(hash="AB" * 32)).hash == HASH


def test_functions_have_the_numbers_of_reapi() -> None:
    assert decoding.function_number("sha256") == reapi.DigestFunction.SHA256
    assert decoding.function_number("") == reapi.DigestFunction.UNKNOWN


def test_a_key_is_what_both_sides_carry() -> None:
    assert decoding.action_key(execute_request(priority=3)) == decoding.action_key(execute_request(function=1))
    assert decoding.action_key(execute_request()) != decoding.action_key(execute_request(skip=True))
    assert decoding.action_key(execute_request()) != decoding.action_key(execute_request(instance="other"))
