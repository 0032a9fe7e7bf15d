"""The check of a token against what it cannot do without: splitting a header and comparing a salted SHA-256, written out by hand.

    scripts/bench token [PART …] [--rounds N] [--checks N]

CPU time in this process of one check, of a gate that knows a thousand tokens, with a request as aiohttp has parsed it:

token   a token that is known; besides, aiohttp's own reading of basic authentication
jwt     a JSON Web Token, which is verified once; besides, PyJWT verifying it each time
local   no token, a program on this machine that reads without
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import jwt
from aiohttp import BasicAuth, web
from aiohttp.hdrs import AUTHORIZATION
from aiohttp.test_utils import make_mocked_request

from benchmarks.parts import judged
from benchmarks.verdicts import Verdicts, in_turn
from gateway.config.trust import Credentials, Role
from gateway.config.types import Address, Config
from gateway.serve.authentication.gate import Gate
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.token_file import TOKENS_MAX, change_tokens
from gateway.serve.authentication.tokens import make_token
from tests.serve.authentication.issuing import Issuer, settings

#: Microseconds of one check: the bar.
CEILING_US = 5.0
#: What curl and Prometheus send, and a little more.
_HEADERS = {"Host": "localhost:50062", "User-Agent": "curl/8.0", "Accept": "*/*", "Accept-Encoding": "gzip", "X-Request-Id": "1"}


def _config(directory: Path) -> Config:
    return Config(http=Address("127.0.0.1", 0), scheduler_name="S", taps=(), cas=None, state_dir=directory)


class _Loopback(asyncio.Transport):
    """A connection from this machine."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 50_000) if name == "peername" else default


def _request(**headers: str) -> web.BaseRequest:
    return make_mocked_request("GET", "/api/v1/workers", headers={**_HEADERS, **headers}, transport=_Loopback())


def _measured(
    verdicts: Verdicts, options: argparse.Namespace, checks: Mapping[str, Callable[[], object]]
) -> dict[str, list[float]]:
    checks_in_all: int = options.checks

    def measure(name: str) -> float:
        check = checks[name]
        began = time.process_time()
        for _ in range(checks_in_all):
            check()
        return (time.process_time() - began) / checks_in_all * 1e6

    for check in checks.values():
        check()
    found = in_turn(list(checks), options.rounds, measure)
    verdicts.values(found, "us a check")
    return found


def _token(_: ExitStack, directory: Path, options: argparse.Namespace, verdicts: Verdicts) -> None:
    config = _config(directory)
    made = [make_token(f"number {number}", Role.READER, 0.0) for number in range(TOKENS_MAX)]
    change_tokens(config.tokens_file, lambda _: [token for _, token in made])
    gate = Gate(config, KnownTokens(config), on_loopback=False)
    text, token = made[TOKENS_MAX // 2]
    request = _request(Authorization=f"Bearer {text}")
    basic = _request(Authorization=f"Basic {b64encode(b'grafana:' + text[-64:].encode()).decode()}")
    salt, digest = bytes.fromhex(token.salt), bytes.fromhex(token.sha256)

    def by_hand() -> bool:
        secret = request.headers[AUTHORIZATION].rpartition("_")[2]
        return hmac.compare_digest(hashlib.sha256(salt + secret.encode()).digest(), digest)

    checks = {
        "gateway": lambda: gate.admit(request, Role.READER),
        "sha256 by hand": by_hand,
        "BasicAuth.decode": lambda: BasicAuth.decode(basic.headers[AUTHORIZATION]),
    }
    found = _measured(verdicts, options, checks)
    verdicts.at_most("gateway to sha256 by hand", found["gateway"], found["sha256 by hand"])
    verdicts.at_most("gateway to BasicAuth.decode", found["gateway"], found["BasicAuth.decode"])
    verdicts.below("microseconds a check", found["gateway"], floor=CEILING_US)


def _jwt(_: ExitStack, directory: Path, options: argparse.Namespace, verdicts: Verdicts) -> None:
    issuer = Issuer()
    settings_ = settings(directory / "jwks.json", issuer)
    config = replace(_config(directory), credentials=Credentials(jwt=settings_))
    gate = Gate(config, KnownTokens(config), on_loopback=False)
    token = issuer.token(exp=int(time.time()) + 3_600)
    request = _request(Authorization=f"Bearer {token}")
    public = issuer.key.public_key()
    checks = {
        "gateway": lambda: gate.admit(request, Role.READER),
        "PyJWT": lambda: jwt.decode(token, public, algorithms=["ES256"], audience=settings_.audience, issuer=settings_.issuer),
    }
    found = _measured(verdicts, options, checks)
    verdicts.at_most("gateway to PyJWT", found["gateway"], found["PyJWT"])
    verdicts.below("microseconds a check", found["gateway"], floor=CEILING_US)


def _local(_: ExitStack, directory: Path, options: argparse.Namespace, verdicts: Verdicts) -> None:
    config = _config(directory)
    gate, request = Gate(config, KnownTokens(config), on_loopback=False), _request()
    found = _measured(verdicts, options, {"gateway": lambda: gate.admit(request, Role.READER)})
    verdicts.below("microseconds a check", found["gateway"], floor=CEILING_US)


async def main() -> int:
    """0: every bar is met."""
    parser = argparse.ArgumentParser(prog="scripts/bench token", description=__doc__.partition("\n")[0])
    parser.add_argument("--checks", type=int, default=20_000)
    return judged(parser, {"token": _token, "jwt": _jwt, "local": _local})


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
