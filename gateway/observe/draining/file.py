"""Drains and idempotency keys from one observe to the next: JSON in state_dir, mode 0600.

It is replaced as a whole or not at all: a new one is written beside it, brought to the disk, and takes its name. One that cannot be
read is set aside, and there are no drains then.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.observe.draining.keys import Keys, Use
from gateway.observe.draining.records import Counts, Drain, DrainState, Kind, Selector, Target, TargetState, Wish
from gateway.observe.draining.register import Register
from gateway.observe.rejected import set_aside

NAME = "drains.json"
_NEW = NAME + ".new"
_VERSION = 1
#: Far above what the bounds allow.
_LARGEST_BYTES = 64 * 1024 * 1024

logger = logging.getLogger(__name__)


def dump(register: Register, keys: Keys) -> bytes:
    """What the file says."""
    drains = [_drain(drain) for drain in register]
    values = {
        "version": _VERSION,
        "drains": drains[::-1],
        "keys": [[use.by, use.key, use.request, use.drain_id, use.at] for use in keys],
    }
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def write(folder: Path, data: bytes) -> None:
    """Put it in the place of the old one.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the old one is still there.
    """
    new = folder / _NEW
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def read(folder: Path) -> tuple[Register, Keys]:
    """What the file says; nothing where there is none, or none that can be read, which is logged."""
    path = folder / NAME
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        return _loaded(data)
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.warning("%s cannot be read (%s): there are no drains; NativeLink goes on as it was told", path, error.strerror)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        where = set_aside(path)
        logger.warning("%s is not used: %s; %s, and there are no drains; NativeLink goes on as it was told", path, error, where)
    return Register(), Keys()


def _loaded(data: bytes) -> tuple[Register, Keys]:
    if len(data) > _LARGEST_BYTES:
        raise ValueError(f"it has more than {_LARGEST_BYTES} bytes")
    values = json.loads(data)
    if values["version"] != _VERSION:
        raise ValueError(f"version {values['version']} is not {_VERSION}")
    drains = [_read_drain(each) for each in values["drains"]]
    uses = [
        Use(_text(by), _text(key), _text(request), _text(drain_id), _number(at))
        for by, key, request, drain_id, at in values["keys"]
    ]
    return Register(drains), Keys(uses)


def _drain(drain: Drain) -> dict[str, Any]:
    final = drain.final
    return {
        "id": drain.id,
        "kind": drain.selector.kind.value,
        "value": drain.selector.value,
        "name": drain.selector.name,
        "created_at": drain.created_at,
        "created_by": drain.created_by,
        "until_gone": drain.until_gone,
        "state": drain.state.value,
        "ended_at": drain.ended_at,
        "ended_by": drain.ended_by,
        "gone": drain.gone,
        "final": final and [final.workers, final.draining, final.safe, final.failed, final.running],
        "targets": [[target.worker_id, target.wish.value, target.state.value, target.error] for target in drain.targets.values()],
    }


def _read_drain(values: dict[str, Any]) -> Drain:
    state, final = DrainState(values["state"]), values["final"]
    drain = Drain(
        id=_text(values["id"]),
        selector=Selector(Kind(values["kind"]), _text(values["value"]), _text(values["name"])),
        created_at=_number(values["created_at"]),
        created_by=_text(values["created_by"]),
        until_gone=values["until_gone"] is True,
        state=state,
        ended_at=None if values["ended_at"] is None else _number(values["ended_at"]),
        ended_by=_text(values["ended_by"]),
        gone=_number(values["gone"]),
        final=None if final is None else Counts(*map(_number, final)),
    )
    for worker_id, wish, word, error in values["targets"]:
        target = Target(_text(worker_id), Wish(wish), TargetState(word), _text(error))
        if state is DrainState.ACTIVE and target.state not in {TargetState.GONE, TargetState.UNDRAINED}:
            # Whether NativeLink has done it shows once its workers do.
            target.is_kept, target.wish = True, Wish.DRAIN
        drain.targets[target.worker_id] = target
    return drain


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no whole number")
    return value
