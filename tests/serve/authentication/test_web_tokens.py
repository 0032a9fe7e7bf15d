from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.trust import Role
from gateway.serve.authentication import web_tokens as module
from gateway.serve.authentication.caller import Identity, Kind
from gateway.serve.authentication.key_source import KeyFile
from gateway.serve.authentication.keys import read_keys
from gateway.serve.authentication.web_tokens import WebTokens, web_tokens
from tests.serve.authentication.issuing import AUDIENCE, ISSUER, Issuer, key_set, settings

ISSUERS = {algorithm: Issuer(algorithm, kid=algorithm) for algorithm in ("RS256", "PS384", "ES256", "ES384", "EdDSA")}
OURS = ISSUERS["ES256"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jwks.json"


@pytest.fixture
def tokens(file: Path) -> WebTokens:
    return web_tokens(settings(file, *ISSUERS.values()))


@pytest.mark.parametrize("algorithm", ISSUERS)
def test_a_token_that_the_issuer_signed_is_its_subjects(tokens: WebTokens, algorithm: str) -> None:
    expected = Identity("somebody", Kind.JWT, Role.READER)
    token = ISSUERS[algorithm].token()
    assert [tokens.identify(token) for _ in range(2)] == [expected] * 2


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *(("exp", -31), ("exp", None), ("exp", "never"), ("exp", 1e400), ("nbf", 300), ("iat", 300)),
        *(("iss", "https://other.example"), ("iss", None), ("iss", [ISSUER])),
        *(("aud", "other"), ("aud", None), ("aud", []), ("aud", {AUDIENCE: 1})),
    ],
)
def test_a_token_of_another_time_issuer_or_audience_is_nobodys(tokens: WebTokens, claim: str, value: object) -> None:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 60, claim: now + value if isinstance(value, int) else value}
    text = encoded({"alg": "ES256", "kid": OURS.kid}, json.dumps({k: v for k, v in claims.items() if v is not None}).encode())
    assert tokens.identify(signed(text)) is None


def signed(text: str) -> str:
    """By us, whatever it says."""
    text = text.rpartition(".")[0]
    signature = jwt.get_algorithm_by_name("ES256").sign(text.encode(), OURS.key)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_what_is_signed_here_is_taken_where_it_says_what_it_should(tokens: WebTokens) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 60}
    assert tokens.identify(signed(encoded({"alg": "ES256", "kid": OURS.kid}, json.dumps(claims).encode()))) is not None


def test_clocks_may_differ_as_far_as_the_configuration_says(file: Path) -> None:
    now = int(time.time())
    late, early = OURS.token(exp=now - 20), OURS.token(nbf=now + 20)
    tolerant = web_tokens(settings(file, OURS, clock_skew_s=60))
    strict = web_tokens(settings(file, OURS, clock_skew_s=0))
    assert all(tolerant.identify(token) for token in (late, early))
    assert not any(strict.identify(token) for token in (late, early))


def test_several_audiences_may_have_ours(tokens: WebTokens) -> None:
    assert tokens.identify(OURS.token(aud=["other", AUDIENCE])) is not None


def encoded(header: dict[str, Any], claims: bytes = b"{}", signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), claims, signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_what_attackers_make_of_tokens_is_nobodys(tokens: WebTokens, file: Path) -> None:
    header, claims, signature = OURS.token().split(".")
    whole = jwt.decode(OURS.token(), options={"verify_signature": False})
    public = OURS.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    other = Issuer("ES256", kid=OURS.kid)
    text = json.dumps(whole).encode()
    forged = [
        encoded({"alg": "none", "kid": OURS.kid}, text),
        encoded({"alg": "None", "kid": OURS.kid}, text),
        encoded({"alg": "HS256", "kid": OURS.kid}, text, b"x" * 32),
        f"{encoded({'alg': 'HS256', 'kid': OURS.kid}, text).rpartition('.')[0]}.{_hmac(text, public)}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.{claims}.{signature[:-4]}AAAA",
        f"{header}.{base64.urlsafe_b64encode(text.replace(b'reader', b'operator')).rstrip(b'=').decode()}.{signature}",
        other.token(),
        OURS.token(headers={"kid": "RS256"}),
        OURS.token(headers={"kid": "nobody"}),
        OURS.token(headers={"kid": "../../dev/null"}),
        OURS.token(headers={"crit": ["x"], "x": 1}),
        encoded({"alg": "ES256", "kid": 5}),
        encoded({"alg": ["ES256"], "kid": OURS.kid}),
        encoded({"alg": "ES256", "kid": OURS.kid, "jwk": other.public}, text, b"x" * 64),
        *("", ".", "..", "a.b.c", "\udcff.\udcff.\udcff", "é" * 50, "." * 8_000, "Bearer " + OURS.token()),
        f"{base64.urlsafe_b64encode(b'[' * 5_000).decode()}.{claims}.{signature}",
        f"{header}.{base64.urlsafe_b64encode(b'[' * 5_000).decode()}.{signature}",
        f"{base64.urlsafe_b64encode(b'5').decode()}.{claims}.{signature}",
    ]
    assert [token for token in forged if tokens.identify(token) is not None] == []
    assert tokens.identify(OURS.token()) is not None


def test_a_key_that_is_for_one_algorithm_verifies_no_other(file: Path) -> None:
    rsa = ISSUERS["RS256"]
    file.write_bytes(json.dumps({"keys": [{**rsa.public, "alg": "RS256"}]}).encode())
    tokens = web_tokens(settings(file))
    good = rsa.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    assert tokens.identify(good) is not None
    assert tokens.identify(jwt.encode(claims, rsa.key, algorithm="PS256", headers={"kid": rsa.kid})) is None


def _hmac(claims: bytes, secret: bytes) -> str:
    """The signature of who takes a public key for a shared secret."""
    text = encoded({"alg": "HS256", "kid": OURS.kid}, claims).rpartition(".")[0]
    # PyJWT itself refuses to sign so.
    from hashlib import sha256  # noqa: PLC0415
    from hmac import new  # noqa: PLC0415

    return base64.urlsafe_b64encode(new(secret, text.encode(), sha256).digest()).rstrip(b"=").decode()


PARTS = st.lists(st.binary(max_size=60), min_size=3, max_size=3)


@given(st.text(max_size=200) | PARTS.map(lambda parts: ".".join(base64.urlsafe_b64encode(part).decode() for part in parts)))
def test_whatever_comes_is_nobodys_and_breaks_nothing(text: str) -> None:
    class Fixed:
        keys = read_keys(key_set(OURS))
        problem: str | None = None

        def look(self) -> None: ...
        def missed(self) -> None: ...
        async def run(self) -> None: ...

    assert WebTokens(settings(None), Fixed()).identify(text) is None


@pytest.mark.parametrize(
    ("name", "claims", "role"),
    [
        ("role", {"role": "operator"}, Role.OPERATOR),
        ("role", {"role": ["other", "reader"]}, Role.READER),
        ("role", {"role": ["reader", "operator"]}, Role.OPERATOR),
        ("role", {"role": None}, None),
        ("role", {"role": "admin"}, None),
        ("role", {"role": "OPERATOR"}, None),
        ("role", {"role": {"operator": True}}, None),
        ("role", {"role": [["operator"]]}, None),
        ("realm_access.roles", {"realm_access": {"roles": ["operator"]}}, Role.OPERATOR),
        ("realm_access.roles", {"realm_access": ["operator"]}, None),
        ("https://example.org/role", {"https://example.org/role": "operator"}, Role.OPERATOR),
    ],
)
def test_the_claim_that_is_named_has_the_role(file: Path, name: str, claims: dict[str, Any], role: Role | None) -> None:
    identity = web_tokens(settings(file, OURS, role_claim=name)).identify(OURS.token(**{"role": None, **claims}))
    assert identity is not None
    assert identity.role is role


def test_a_subject_fits_into_a_line_of_a_log(tokens: WebTokens) -> None:
    names = []
    for subject in ("a\nb", "x" * 500, None):
        identity = tokens.identify(OURS.token(sub=subject))
        assert identity is not None
        names.append(identity.name)
    assert names == ["a\N{REPLACEMENT CHARACTER}b", "x" * 200, "jwt"]


def test_a_token_without_the_id_of_a_key_is_of_the_only_key(file: Path) -> None:
    assert web_tokens(settings(file, OURS)).identify(OURS.token(headers={"kid": None})) is not None
    assert web_tokens(settings(file, OURS, ISSUERS["RS256"])).identify(OURS.token(headers={"kid": None})) is None


class Watched(KeyFile):
    """Its clock is the test's."""

    now = 0.0

    def __init__(self, path: Path) -> None:
        super().__init__(path, monotonic=lambda: self.now)


def test_what_is_remembered_ends_with_the_token_and_with_the_keys(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    wanted = settings(file, OURS, clock_skew_s=0)
    source = Watched(file)
    tokens = WebTokens(wanted, source, unix=lambda: now)
    token = OURS.token(exp=int(now) + 60)
    assert tokens.identify(token) is not None
    verify = WebTokens._verified
    monkeypatch.setattr(WebTokens, "_verified", lambda *_: None)
    assert tokens.identify(token) is not None, "it is remembered"
    now += 61
    assert tokens.identify(token) is None
    now -= 61
    monkeypatch.setattr(WebTokens, "_verified", verify)
    assert tokens.identify(token) is not None
    file.write_bytes(key_set(Issuer("ES256", kid=OURS.kid)))
    source.now += 2
    assert tokens.identify(token) is None, "the issuer took its key back"


def test_no_more_are_remembered_than_the_bound(tokens: WebTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    for number in range(4):
        token = OURS.token(sub=str(number))
        assert tokens.identify(token) is not None
        assert not any(part in repr(tokens._kept) for part in token.split(".")[1:])
    assert len(tokens._kept) == 2
