"""An issuer of JSON Web Tokens for tests: claims come in, signed tokens and the set of its keys go out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.config.trust import Jwt

ISSUER, AUDIENCE = "https://issuer.example", "nativelink-gateway"


class Issuer:
    """Has one key."""

    def __init__(self, algorithm: str = "ES256", kid: str = "one", bits: int = 2_048) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self.key: Any
        if algorithm.startswith("ES"):
            self.key = ec.generate_private_key({"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1()}[algorithm])
            public = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        elif algorithm == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        else:
            self.key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
            public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        self.public: dict[str, Any] = {**public, "kid": kid}

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Good for a minute unless the claims say otherwise; what is None is left out."""
        now = int(time.time())
        whole = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, "sub": "somebody", "role": "reader", **claims}
        whole = {name: value for name, value in whole.items() if value is not None}
        head = {name: value for name, value in {"kid": self.kid, **(headers or {})}.items() if value is not None}
        return jwt.encode(whole, self.key, algorithm=self.algorithm, headers=head)


def key_set(*issuers: Issuer) -> bytes:
    return json.dumps({"keys": [each.public for each in issuers]}).encode()


def settings(file: Path | None, *issuers: Issuer, **changes: Any) -> Jwt:
    """Of tokens of these issuers, whose keys are written into the file."""
    if file is not None and issuers:
        file.write_bytes(key_set(*issuers))
    return Jwt(**{"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": file, **changes})
