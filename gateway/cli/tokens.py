"""`nativelink-gateway token`: makes, lists, revokes and shows what readers and operators send over HTTP."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.load import load_config
from gateway.config.state_directory import prepare_state_dir
from gateway.config.trust import Role
from gateway.config.types import Config
from gateway.errors import GatewayError, StartError
from gateway.private_file import NO_FILE

if TYPE_CHECKING:
    from gateway.serve.authentication.tokens import Token

_ACTIONS = {
    "new": "make a token, and print it this once: only its hash is kept",
    "list": "print whose tokens there are, and what they may do",
    "revoke": "make a token worthless, within a second, for every process that serves with this file",
    "show": "print the token that a first start made, as long as nobody had made a credential",
}


class TokenError(GatewayError):
    """There is no such token, or none can be made so."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")
    for name, what in _ACTIONS.items():
        action = actions.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", allow_abbrev=False)
        action.add_argument(
            "--config", type=Path, metavar="FILE", help="the gateway's own configuration, which says where tokens are"
        )
        if name != "show":
            action.add_argument("--tokens-file", type=Path, metavar="FILE", help="they are here, whatever the configuration says")
        if name == "new":
            words = [role.value for role in Role]
            action.add_argument("--role", choices=words, required=True, help="what it allows; operator includes reader")
            action.add_argument("--name", required=True, help="whose it is, for people: it is in lists, in logs and in the audit")
        if name == "revoke":
            action.add_argument("id", metavar="ID", help="what is between the two underscores of the token; `token list` shows it")


def change_tokens(options: argparse.Namespace) -> None:
    """Do what `options.action` says.

    Raises:
        GatewayError: it cannot be done.
    """
    from gateway.serve.authentication.token_file import TokenFileError  # noqa: PLC0415 # msgspec, which other commands do without

    try:
        _DO[options.action](load_config(options.config), options)
    except TokenFileError as error:
        raise StartError(str(error)) from error


def _file(config: Config, options: argparse.Namespace) -> Path:
    given: Path | None = options.tokens_file
    return config.tokens_file if given is None else given


def _new(config: Config, options: argparse.Namespace) -> None:
    from gateway.serve.authentication import token_file  # noqa: PLC0415 # as above
    from gateway.serve.authentication.tokens import NAME_MAX, is_name, make_token  # noqa: PLC0415

    if not is_name(options.name):
        raise TokenError(f"--name: one to {NAME_MAX} characters that can be shown in a line, without spaces around")
    file = _file(config, options)
    if file == config.state_dir / file.name:
        prepare_state_dir(config.state_dir)
    text, token = make_token(options.name, Role(options.role), time.time())
    token_file.change_tokens(file, lambda tokens: [*tokens, token])
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
    sys.stderr.write(f"This is shown once. Its hash is in {file}; `nativelink-gateway token revoke {token.id}` ends it.\n")


def _list(config: Config, options: argparse.Namespace) -> None:
    from gateway.serve.authentication.first_token import read_first_token  # noqa: PLC0415 # as above
    from gateway.serve.authentication.token_file import read_tokens  # noqa: PLC0415

    found: list[Token] = []
    with suppress(*NO_FILE):
        found += read_tokens(_file(config, options))
    if options.tokens_file is None:
        with suppress(*NO_FILE):
            found.append(read_first_token(config.first_token_file))
    rows = [("ID", "ROLE", "CREATED", "NAME"), *((each.id, each.role.value, each.created, each.name) for each in found)]
    sys.stdout.writelines(f"{id_:8}  {role:8}  {created:20}  {name}\n" for id_, role, created, name in rows)


def _revoke(config: Config, options: argparse.Namespace) -> None:
    from gateway.serve.authentication import token_file  # noqa: PLC0415 # as above
    from gateway.serve.authentication.first_token import show_first_token  # noqa: PLC0415
    from gateway.serve.authentication.tokens import split  # noqa: PLC0415

    file, first = _file(config, options), config.first_token_file
    if options.tokens_file is None:
        try:
            parts = split(show_first_token(first))
        except NO_FILE:
            parts = None
        if parts is not None and parts[0] == options.id:
            # A file of tokens, also without any, keeps the next start from making another.
            token_file.change_tokens(file, lambda tokens: tokens)
            first.unlink(missing_ok=True)
            return

    def without(tokens: Sequence[Token]) -> Sequence[Token]:
        left = [token for token in tokens if token.id != options.id]
        if len(left) == len(tokens):
            raise TokenError(f"no token has the id {options.id!r}: `nativelink-gateway token list` shows them")
        return left

    token_file.change_tokens(file, without)


def _show(config: Config, _: argparse.Namespace) -> None:
    from gateway.serve.authentication.first_token import show_first_token  # noqa: PLC0415 # as above

    try:
        text = show_first_token(config.first_token_file)
    except NO_FILE:
        raise TokenError(
            f"{config.first_token_file}: no start made a token here, or it was revoked: `nativelink-gateway token new` makes one"
        ) from None
    sys.stdout.write(f"{text}\n")


_DO: Mapping[str, Callable[[Config, argparse.Namespace], None]] = {"new": _new, "list": _list, "revoke": _revoke, "show": _show}
