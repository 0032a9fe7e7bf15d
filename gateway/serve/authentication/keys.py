"""Keys: a JSON Web Key Set comes in, the keys that may verify a signature go out, each with its algorithms (RFC 7517, 7518).

Only asymmetric ones: with a shared secret whoever verifies could sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from jwt import PyJWK, PyJWTError

#: Of one set.
KEYS_MAX = 100
BYTES_MAX = 256 * 1024
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {
    "P-256": frozenset({"ES256"}),
    "P-384": frozenset({"ES384"}),
    "P-521": frozenset({"ES512"}),
    "Ed25519": frozenset({"EdDSA"}),
    "Ed448": frozenset({"EdDSA"}),
}
#: A shorter one is no proof any more (RFC 7518, 3.3).
_RSA_BITS = 2_048


class KeySetError(Exception):
    """It is no key set, or has no key that can be used: a sentence, without what is in it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key."""

    key: Any
    algorithms: frozenset[str]


def read_keys(text: bytes) -> Mapping[str | None, Key]:
    """By `kid`; None: of the one that has none.

    Raises:
        KeySetError: no key can be used.
    """
    try:
        found = msgspec.json.decode(text, type=dict[str, Any]).get("keys")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise KeySetError("it is no JSON Web Key Set")
    if len(found) > KEYS_MAX:
        raise KeySetError(f"it has more than {KEYS_MAX} keys")
    keys: dict[str | None, Key] = {}
    for each in found:
        key = _read(each) if isinstance(each, dict) else None
        if key is not None:
            kid = each.get("kid")
            keys[kid if isinstance(kid, str) else None] = key
    if not keys:
        raise KeySetError("no key in it verifies signatures with an asymmetric algorithm")
    return keys


def _read(jwk: dict[str, Any]) -> Key | None:
    """None: it is of a kind that is not used here, or broken."""
    algorithms = _RSA if jwk.get("kty") == "RSA" else _CURVES.get(str(jwk.get("crv")), frozenset())
    if "alg" in jwk:
        algorithms &= {str(jwk["alg"])}
    if not algorithms or jwk.get("use", "sig") != "sig" or "d" in jwk:
        return None
    try:
        key = PyJWK(jwk, algorithm=min(algorithms)).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if jwk["kty"] == "RSA" and key.key_size < _RSA_BITS:
        return None
    return Key(key, algorithms)
