from __future__ import annotations

import os
import subprocess
import sys

from gateway.activation import activated
from tests.systemd import activating

_TAKE = """
import os, sys
from gateway.activation import activated
from gateway.errors import StartError
try:
    found = activated(os.environ)
except StartError as error:
    sys.exit(str(error))
shared = [name for name, sock in found.items() if sock.get_inheritable() or sock.getblocking()]
left = [each for each in os.environ if each.startswith("LISTEN_")]
print([(name, sock.family.name) for name, sock in found.items()], shared, left)
"""


def taken(*opened: str, names: str, count: int | None = None) -> str:
    """What a process says that these are passed to."""
    arguments = activating(opened, names, "-c", _TAKE, count=count)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout + done.stderr).strip()


def test_what_was_passed_is_found_by_its_name_and_nobody_else_gets_it() -> None:
    found = [("http", "AF_INET"), ("tap-execution", "AF_INET6")]
    assert taken("4:0", "6:0", names="http:tap-execution") == f"{found} [] []"


def test_what_was_passed_to_another_process_is_not_taken() -> None:
    environment = {"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "HOME": "/"}
    assert activated(environment) == {}
    assert environment == {"HOME": "/"}


def test_what_was_passed_and_cannot_be_used_is_told() -> None:
    count = "as many sockets as $LISTEN_FDNAMES has names"
    assert taken("4:0", names="") == f"$LISTEN_FDS: 1: {count}, 0: FileDescriptorName= in each .socket unit"
    assert taken("4:0", names="http", count=7).startswith(f"$LISTEN_FDS: 7: {count}, 1")
    assert taken("4:0", "4:0", names="http:http").startswith("FileDescriptorName=http: only one socket of that name")
    assert taken("file", names="http").startswith("FileDescriptorName=http: descriptor 3: a socket, not ")
    for other in ("unix:", "4:unbound"):
        told = "FileDescriptorName=http: a TCP socket that listens: ListenStream=ADDRESS:PORT and Accept=no"
        assert taken(other, names="http") == told
