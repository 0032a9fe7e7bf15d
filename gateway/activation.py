"""Sockets that systemd opened before it started the gateway (sd_listen_fds(3)): environment in, sockets by name out."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

from gateway.errors import StartError

#: Of the first descriptor that is passed; the others follow.
_FIRST = 3
_PID, _COUNT, _NAMES = "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"


def activated(environment: MutableMapping[str, str]) -> dict[str, socket.socket]:
    """What was passed to this process, by `FileDescriptorName=`. The variables are taken out: they mean nobody that it starts.

    Raises:
        StartError: something was passed that cannot be what is wanted; all of it is closed.
    """
    pid, count, names = (environment.pop(each, "") for each in (_PID, _COUNT, _NAMES))
    if pid != str(os.getpid()):
        return {}
    named = names.split(":") if names else []
    if count != str(len(named)):
        raise StartError(
            f"${_COUNT}: {count}: as many sockets as ${_NAMES} has names, {len(named)}: FileDescriptorName= in each .socket unit"
        )
    found: dict[str, socket.socket] = {}
    with contextlib.ExitStack() as stack:
        for descriptor, name in enumerate(named, start=_FIRST):
            sock = stack.enter_context(_take(descriptor, name))
            if name in found:
                raise StartError(f"FileDescriptorName={name}: only one socket of that name, with one ListenStream=")
            found[name] = sock
        stack.pop_all()
    return found


def _take(descriptor: int, name: str) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"FileDescriptorName={name}: descriptor {descriptor}: a socket, not {error.strerror}") from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(sock)
        listens = sock.family in {socket.AF_INET, socket.AF_INET6} and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if not listens:
            raise StartError(f"FileDescriptorName={name}: a TCP socket that listens: ListenStream=ADDRESS:PORT and Accept=no")
        sock.set_inheritable(False)
        sock.setblocking(False)
        stack.pop_all()
    return sock
