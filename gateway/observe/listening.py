"""Where the introspection service is reached: a configuration in, a listening grpc.aio server out.

Errors are `StartError`s that name the setting.
"""

from __future__ import annotations

import socket
from pathlib import Path

import grpc

from gateway.config.types import Address, Config
from gateway.errors import StartError

#: sun_path of unix(7), with its end.
_PATH_BYTES = 107

_OPTIONS = (
    # Two processes on one port would share its calls, and each would know half of them.
    ("grpc.so_reuseport", 0),
    # A subscriber whose machine went away without a word holds its queue until this finds out.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


def create_server() -> grpc.aio.Server:
    """A server that listens nowhere yet."""
    return grpc.aio.server(options=_OPTIONS)


def listen(server: grpc.aio.Server, config: Config) -> str:
    """Bind; returns the address that a client dials.

    Raises:
        StartError: the address or path is taken, or cannot be had.
    """
    address = config.introspection.listen
    if address is None:
        return _listen_unix(server, config.introspection_socket)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address} (gateway.introspection.listen): taken, or not of this machine") from error
    return str(Address(address.host, port))


def protect(config: Config) -> None:
    """Keep others away from the unix socket, once the server has started. The folder (0700) has done so before."""
    if config.introspection.listen is None:
        config.introspection_socket.chmod(0o600)


def _listen_unix(server: grpc.aio.Server, path: Path) -> str:
    if len(bytes(path)) > _PATH_BYTES:
        raise StartError(f"the socket {path} has a longer name than unix sockets can have: choose a shorter gateway.state_dir")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"cannot create {path.parent} (gateway.state_dir): {error.strerror}") from error
    if _is_answered(path):
        raise StartError(f"another observe answers at {path}: stop it, or choose another gateway.state_dir")
    try:
        # grpc takes the place of a socket that a process left behind.
        server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise StartError(f"cannot listen at {path} (gateway.state_dir): {error}") from error
    return f"unix:{path}"


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
