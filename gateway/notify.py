"""Tells systemd what a unit of Type=notify waits for (sd_notify(3)): words in, a datagram out; without systemd nothing."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(*words: str) -> None:
    """Sends them, such as READY=1, to $NOTIFY_SOCKET. Whether anybody listens makes no difference here."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    # An @ stands for the NUL of an abstract name.
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto("\n".join(words).encode(), address)
