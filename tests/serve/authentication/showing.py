"""Tokens for tests: a configuration comes in, a token that it accepts goes out, as a line of a request."""

from __future__ import annotations

from gateway.config.trust import Role
from gateway.config.types import Config
from gateway.serve.authentication.token_file import change_tokens
from gateway.serve.authentication.tokens import make_token

#: Of tokens that tests make.
NOW = 1_640_995_200.0


def new_token(config: Config, role: Role = Role.READER, name: str = "test") -> str:
    """Made as the command line makes it."""
    text, token = make_token(name, role, NOW)
    change_tokens(config.tokens_file, lambda tokens: [*tokens, token])
    return text


def shown(token: str) -> str:
    """The header, with the end of its line."""
    return f"Authorization: Bearer {token}\r\n"
