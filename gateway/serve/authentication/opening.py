"""Opening: the configuration comes in, the gate goes out, with a first token where nobody made a credential.

The log says who is let in.
"""

from __future__ import annotations

import logging

from gateway.config.state_directory import prepare_state_dir
from gateway.config.types import Authentication, Config
from gateway.errors import StartError
from gateway.serve.authentication.first_token import make_first_token
from gateway.serve.authentication.gate import Gate
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.token_file import TokenFileError

logger = logging.getLogger(__name__)


def open_gate(config: Config, *, on_loopback: bool) -> Gate:
    """The gate of a process that serves; `on_loopback`: only this machine can connect to it."""
    gate = Gate(config, KnownTokens(config), on_loopback=on_loopback)
    mode = f'gateway.authentication is "{config.authentication.value}"'
    if config.authentication is Authentication.NONE:
        logger.warning("%s: everybody who can connect may read", mode)
    elif gate.is_configured:
        here = config.authentication is Authentication.AUTO and config.credentials.local_read
        logger.info("%s: who asks needs a credential%s", mode, ", but for peers on this machine" if here else "")
    else:
        _open_without(config, mode)
    return gate


def _open_without(config: Config, mode: str) -> None:
    """Nobody made a credential."""
    file = config.first_token_file
    here = "peers on this machine may read, others need" if config.authentication is Authentication.AUTO else "who asks needs"
    try:
        prepare_state_dir(config.state_dir)
        make_first_token(file)
    except (StartError, TokenFileError) as error:
        logger.error("%s: %s a token, and the first one cannot be made: %s", mode, here, error)  # noqa: TRY400 - it is a sentence
    else:
        logger.info("%s: %s the token in %s, which `nativelink-gateway token show` shows", mode, here, file)
