"""Where the gateway keeps its sockets, locks and checkpoints (design 8): setting and environment come in, a directory goes out.

Choosing is part of reading the configuration and touches nothing; preparing is done by the role that is about to write there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from gateway.config.problems import Problems
from gateway.config.types import Config
from gateway.errors import StartError

#: sockaddr_un.sun_path is 108 bytes, its end included (unix(7)).
SOCKET_PATH_MAX = 107
_NAME = "nativelink-gateway"
#: What a directory of ours has in it, whatever else.
_OURS = "lock"


def choose_state_dir(setting: str | None, problems: Problems, environment: Mapping[str, str]) -> Path:
    """gateway.state_dir, else $STATE_DIRECTORY (the first, if there are several), else the user's own state directory."""
    home = environment.get("HOME") or "/"
    if setting is not None:
        return Path(os.path.abspath(home + setting[1:] if setting.startswith("~/") else setting))  # noqa: PTH100 # Path.resolve follows links, which may be there on purpose
    if given := environment.get("STATE_DIRECTORY", "").split(":")[0]:
        chosen = Path(given)
    elif given := environment.get("XDG_STATE_HOME", ""):
        chosen = Path(given) / _NAME
    else:
        chosen = Path(home) / ".local" / "state" / _NAME
    if not chosen.is_absolute():
        problems.add(
            "gateway.state_dir", str(chosen), "an absolute path in $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME, or this setting"
        )
    return chosen


def check_socket_paths(config: Config, problems: Problems) -> None:
    """Note a state_dir under which a unix socket cannot have its name."""
    longest = max((*config.record_sockets, config.introspection_socket), key=lambda path: len(os.fsencode(path)))
    over = len(os.fsencode(longest)) - SOCKET_PATH_MAX
    if over > 0:
        problems.add(
            "gateway.state_dir",
            str(config.state_dir),
            f"a path {over} bytes shorter: that of the socket {longest.name} in it may have {SOCKET_PATH_MAX} bytes at most",
        )


def prepare_state_dir(state_dir: Path) -> None:
    """Make the directory, with mode 0700, or take it over where it is empty or was ours before.

    Raises:
        StartError: it cannot be had, or is somebody's directory that is open to others; nothing in it was touched.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = state_dir.stat()
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _close_to_others(state_dir, found)
        if not os.access(state_dir, os.R_OK | os.W_OK | os.X_OK):
            raise StartError(f"gateway.state_dir: {state_dir}: a directory that this user may write to")
    except OSError as error:
        raise StartError(f"gateway.state_dir: {state_dir}: a directory that can be made and used: {error.strerror}") from error


def _close_to_others(state_dir: Path, found: os.stat_result) -> None:
    """Close what systemd and container volumes leave open. A directory with other things in it is not ours to close."""
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        raise StartError(
            f"gateway.state_dir: {state_dir}: a directory of this user: it belongs to user {found.st_uid}, with mode {mode:04o}"
        )
    with os.scandir(state_dir) as entries:
        names = {entry.name for entry in entries}
    if names and _OURS not in names:
        raise StartError(
            f"gateway.state_dir: {state_dir}: a directory of the gateway's own: "
            f"this one holds other things and is open to others (mode {mode:04o})"
        )
    state_dir.chmod(0o700)
