"""The credential with which benchmarks ask: gateways that are measured let nobody read without. Peers are sent it too.

In: the configuration of a gateway. Out: it knows the token.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config.trust import Role
from gateway.serve.authentication.token_file import change_tokens
from gateway.serve.authentication.tokens import keep

_TOKEN = f"nlg_{'0' * 8}_{'0' * 64}"  # of gateways that live for minutes and listen on loopback
#: {header: value} of every request.
HEADERS = {"Authorization": f"Bearer {_TOKEN}"}


def accept(tokens_file: Path) -> None:
    """A gateway with this file of tokens accepts it."""
    token = keep(_TOKEN, "benchmark", Role.READER, 0.0)
    change_tokens(tokens_file, lambda _before: [token])
