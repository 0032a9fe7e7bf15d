"""Where the introspection service is reached: a configuration in, a listening grpc.aio server out.

Errors are `StartError`s that name the setting.
"""

from __future__ import annotations

import socket
from pathlib import Path

import grpc

from gateway.config.trust import ListenerTls
from gateway.config.types import Address, Config
from gateway.errors import StartError
from gateway.tls import ListenerContext

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


def listen(server: grpc.aio.Server, config: Config) -> list[str]:
    """Bind the unix socket, and the address for other machines if there is one; returns what clients dial.

    Raises:
        StartError: the address or path is taken, or cannot be had, or a certificate cannot be used.
    """
    found = [_listen_unix(server, config.introspection_socket)]
    address, tls = config.introspection.listen, config.introspection.tls
    if address is not None and tls is not None:
        try:
            port = server.add_secure_port(str(address), _credentials(tls))
        except RuntimeError as error:
            raise StartError(f"cannot listen on {address} (gateway.introspection.listen): taken, or not of this machine") from error
        found.append(str(Address(address.host, port)))
    return found


def protect(config: Config) -> None:
    """Keep others away from the unix socket, once the server has started. The folder (0700) has done so before."""
    config.introspection_socket.chmod(0o600)


def _credentials(tls: ListenerTls) -> grpc.ServerCredentials:
    """Who connects shows a certificate too."""
    context = ListenerContext(tls, "gateway.introspection.tls")

    def current() -> grpc.ServerCertificateConfiguration:
        """Called for every connection, in some thread of grpc's."""
        context.look()
        pem = context.pem
        return grpc.ssl_server_certificate_configuration([(pem["key_file"], pem["cert_file"])], pem["client_ca_file"])

    return grpc.dynamic_ssl_server_credentials(current(), current, require_client_authentication=True)


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
