from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.serve.authentication.keys import KEYS_MAX, KeySetError, read_keys
from tests.serve.authentication.issuing import Issuer, key_set

EC, RSA, ED = Issuer("ES256", "ec"), Issuer("RS256", "rsa"), Issuer("EdDSA", "ed")


def test_each_key_is_for_the_algorithms_of_its_kind() -> None:
    keys = read_keys(key_set(EC, RSA, ED, Issuer("ES384", "big")))
    assert {kid: sorted(key.algorithms) for kid, key in keys.items()} == {
        "ec": ["ES256"],
        "rsa": ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
        "ed": ["EdDSA"],
        "big": ["ES384"],
    }
    (one,) = read_keys(json.dumps({"keys": [{**RSA.public, "alg": "RS256"}]}).encode()).values()
    assert one.algorithms == {"RS256"}


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "shared"},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "alg": "HS256", "crv": "P-256"},
        {**RSA.public, "alg": "HS256"},
        {**RSA.public, "alg": "none"},
        {**EC.public, "alg": "RS256"},
        {**EC.public, "use": "enc"},
        {**EC.public, "crv": "secp256k1"},
        {**EC.public, "crv": "P-384"},
        {**EC.public, "x": "AAAA"},
        {**EC.public, "d": "AAAA"},
        {**RSA.public, "n": "AQAB"},
        {**RSA.public, "n": 5},
        Issuer("RS256", bits=1_024).public,
        {},
        {"kty": ["RSA"]},
        5,
    ],
    # Keys are others in each process of tests.
    ids=range(16),
)
def test_a_key_that_cannot_be_used_is_left_out(key: Any) -> None:
    assert [*read_keys(json.dumps({"keys": [key, EC.public]}).encode())] == ["ec"]
    with pytest.raises(KeySetError, match="no key in it"):
        read_keys(json.dumps({"keys": [key]}).encode())


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"5", b"{}", b'{"keys":{}}', b"\xff", b"[" * 100_000, b'{"keys":' + b"[" * 100_000, b"-----BEGIN PUBLIC KEY-----"],
)
def test_what_is_no_set_is_told_without_what_is_in_it(text: bytes) -> None:
    with pytest.raises(KeySetError) as problem:
        read_keys(text)
    assert str(problem.value) == "it is no JSON Web Key Set"


def test_more_keys_than_the_bound_are_no_set() -> None:
    with pytest.raises(KeySetError, match="more than 100 keys"):
        read_keys(json.dumps({"keys": [EC.public] * (KEYS_MAX + 1)}).encode())
