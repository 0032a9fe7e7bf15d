"""Every socket that the gateway listens on, for its roles: a configuration comes in; sockets by role and name go out.

Each is bound as its role itself would, or is one that systemd opened: named `http`, or `tap-` and the tap's name, and on the
address that the configuration says, so that what it says is true.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.config.types import Address, Config
from gateway.errors import StartError
from gateway.succession import Listeners

_HTTP = "http"
_TAP = "tap-"
_HTTP_SETTING = "servers[].listener.http.socket_address (or --http)"


@contextlib.contextmanager
def listening(config: Config, tap_names: Sequence[str], activated: Mapping[str, socket.socket]) -> Iterator[Listeners]:
    """Role -> name -> socket, until the end.

    Args:
        config: the resolved configuration.
        tap_names: one for each tap process of this machine.
        activated: what systemd opened, by its name for it.

    Raises:
        StartError: one cannot be had, or is not what the configuration says; all are closed.
    """
    # Imported late: what the roles are made of is not needed to supervise them.
    from gateway.serve import role as serve  # noqa: PLC0415
    from gateway.tap import role as tap  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        _close_later(stack, activated.values())
        given = _given(config, tap_names, activated)
        taps = dict(zip(tap_names, tap.bind_processes(config, given), strict=True)) if tap_names else {}
        for sockets in taps.values():
            _close_later(stack, sockets.values())
        http = activated.get(_HTTP) or serve.bind(config)
        _close_later(stack, [http])
        yield {**taps, "serve": {_HTTP: http}}


def _given(config: Config, tap_names: Sequence[str], activated: Mapping[str, socket.socket]) -> dict[str, socket.socket]:
    """Of the taps, by their names, what systemd opened."""
    expected = {_HTTP: (_HTTP_SETTING, config.http)}
    if tap_names:
        expected |= {f"{_TAP}{tap.name}": (f"gateway.taps[{tap.name}].listen", tap.listen) for tap in config.taps}
    for name, sock in activated.items():
        if name not in expected:
            raise StartError(f"FileDescriptorName={name}: one of {', '.join(expected)}, as the configuration has them")
        setting, address = expected[name]
        if not _is_at(sock, address):
            found = Address(*sock.getsockname()[:2])
            raise StartError(f"{setting}: {address}: FileDescriptorName={name} listens on {found}: say the same in both")
    taps = {name.removeprefix(_TAP): sock for name, sock in activated.items() if name != _HTTP}
    if taps and len(tap_names) > 1:
        raise StartError(
            f"gateway.tap.processes: {len(tap_names)}: only one process can have the sockets that systemd opened: disable the "
            ".socket units of the taps, and each process opens its own"
        )
    return taps


def _is_at(sock: socket.socket, address: Address) -> bool:
    """Whether a socket listens where somebody who binds the address would."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return sock.getsockname()[:2] in [each[4][:2] for each in found]


def _close_later(stack: contextlib.ExitStack, listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        stack.enter_context(listener)
