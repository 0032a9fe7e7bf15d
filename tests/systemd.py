"""Starts Python programs as systemd does that has sockets for them (sd_listen_fds(3)): what to open comes in, arguments go out."""

from __future__ import annotations

from collections.abc import Sequence

#: Opens what its first argument lists, from descriptor 3 on, says so, and becomes the rest of its arguments.
_SYSTEMD = """
import os, socket, sys
kinds = {"4": socket.AF_INET, "6": socket.AF_INET6, "unix": socket.AF_UNIX}
opened = []
for each in sys.argv[1].split():
    family, _, port = each.partition(":")
    if family == "file":
        opened.append(os.open("/dev/null", os.O_RDONLY))
        continue
    sock = socket.socket(kinds[family])
    if port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if port != "unbound":
        sock.bind("" if family == "unix" else ("::1" if family == "6" else "127.0.0.1", int(port)))
        sock.listen()
    opened.append(sock.detach())
# Out of the way first: one of them may have the number of another.
for number, each in enumerate([os.dup(os.dup2(each, 100 + each)) for each in opened], start=3):
    os.dup2(each, 200 + number)
for number in range(3, 3 + len(opened)):
    os.dup2(200 + number, number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[2], "LISTEN_FDNAMES": sys.argv[3]}
os.execv(sys.executable, [sys.executable, "-P", *sys.argv[4:]])
"""


def activating(opened: Sequence[str], names: str, *program: str, count: int | None = None) -> tuple[str, ...]:
    """Arguments of Python.

    Args:
        opened: `4:PORT` and `6:PORT` listen on TCP, `unix:` on a unix socket, `4:unbound` does not, `file` is none.
        names: as in $LISTEN_FDNAMES.
        program: Python's arguments for the program.
        count: as in $LISTEN_FDS; None: what is so.
    """
    return ("-c", _SYSTEMD, " ".join(opened), str(len(opened) if count is None else count), names, *program)
