"""Reference: `gateway.config.types.Config` and all that it is made of come in, docs/configuration.md goes out.

Keys, defaults and sentences are those of the types: a sentence is the `#:` comment of its field. What a value may be is in the
loader's own words: it is asked with a wrong one.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import sys
import tempfile
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from gateway.config.load import load_config
from gateway.config.problems import quoted
from gateway.config.types import Address, Config, Scheduler
from gateway.errors import ConfigurationError

_HEAD = """\
# Configuration

Written by `scripts/reference` from the types and the loader, `gateway/config/`.

One JSON5 file, `--config FILE`. Everything in it may be left out, and so may the file. What counts, first to last: an option of
the command line, this file, NativeLink's own file (`--nativelink-config FILE`), NativeLink's shipped ports on loopback.

`nativelink-gateway check-config` prints every setting as it resolves, or every mistake at once, each with its key, its value and
what would be right. A key that is not known is a mistake. Strings may say `${VAR}` or `${VAR:-default}`, as NativeLink's may; a
literal `$` before a name is `$$`. Paths are taken from where the command was started, addresses are `HOST:PORT` with IPv6 as
`[::1]:PORT`.

Of NativeLink's file, `schedulers` (names, property types, timeouts, retries, backend) and `servers` (addresses, TLS, and which of
them has `execution`, `worker_api`, `admin` with its path, `cas`) are read, in its newer form and its older one; the rest is
NativeLink's affair. The first listener of every kind gets a tap in front of it, on loopback and the listener's port plus 100.

`[]` behind a key is each entry of a list."""

#: Fields whose key has another name, or stands elsewhere.
_NAMES = {
    (Config, "http"): "servers[].listener.http.socket_address",
    (Config, "scheduler_name"): "servers[].services.monitoring.scheduler",
    (Config, "http_options"): "http",
    (Scheduler, "keeps_operations"): "experimental_backend",
}
#: What is so without a word of the file, where that is no value.
_DEFAULTS = {
    "servers[].listener.http.socket_address": '`"127.0.0.1:50062"`; in a `monitoring` block needed',
    "servers[].services.monitoring.scheduler": "NativeLink's file: the scheduler of its workers; else `MAIN_SCHEDULER`",
    "gateway.taps": "NativeLink's file: in front of its listeners; else in front of its shipped ports, 50051 and 50061",
    "gateway.admin.path": 'NativeLink\'s file: `services.admin.path`; else `"/admin"`',
    "gateway.taps[].upstream": "NativeLink's file: the listener that offers what this tap carries; without it needed",
    "gateway.cas": "NativeLink's file: its first CAS without TLS; else the upstream of the tap that carries `execution`",
    "gateway.cas.endpoint": "as above",
    "gateway.scheduler.experimental_backend": 'NativeLink\'s file; else `"memory"`',
    "gateway.instances": "NativeLink's file, if its instances have several schedulers; else `{}`",
    "gateway.state_dir": "`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/nativelink-gateway`, else `~/.local/state/nativelink-gateway`",
}
_TOP = "And the `monitoring` service of the API's documentation, whose block is a whole file by itself."
#: The object that its class names.
_SUBJECT = re.compile(r"^`[\w.\[\]]*`: (\w)")
_UNITS = {"_s": "s", "_ms": "ms", "_bytes": "bytes"}
#: Of no type that a key has.
_WRONG: list[list[object]] = [[]]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file."""

    #: In its object; one that stands elsewhere, from the top.
    name: str
    #: What it may be.
    value: str
    unit: str
    default: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Table:
    """The keys of one kind of object."""

    #: Where it may stand, `[]` for an entry of a list.
    paths: tuple[str, ...]
    sentence: str
    keys: tuple[Key, ...]


def tables() -> list[Table]:
    """Everything that the file may say, an object at a time."""
    places: dict[type, list[str]] = {}
    _place(Config, "gateway", places)
    return [_table(kind, places) for kind in places]


def reference() -> str:
    """The reference, in Markdown."""
    blocks = [_HEAD]
    for table in tables():
        rows = [(f"`{key.name}`", key.value, key.unit, key.default, key.sentence) for key in table.keys]
        blocks += (f"## {', '.join(table.paths)}", table.sentence, _markdown(("key", "value", "unit", "default", "meaning"), rows))
    return "\n\n".join(blocks) + "\n"


def _place(kind: type, path: str, places: dict[type, list[str]]) -> None:
    """Find where each kind of object may stand."""
    places.setdefault(kind, []).append(path)
    for name, hint in typing.get_type_hints(kind).items():
        each, is_list = _object(hint)
        if each is not None:
            _place(each, f"{path}.{_NAMES.get((kind, name), name)}{'[]' if is_list else ''}", places)


def _table(kind: type, places: dict[type, list[str]]) -> Table:
    hints, sentences, paths = typing.get_type_hints(kind), _sentences(kind), places[kind]
    keys = []
    for field in dataclasses.fields(kind):
        name = _NAMES.get((kind, field.name), field.name)
        whole = name if name.startswith("servers") else f"{paths[0]}.{name}"
        each, _ = _object(hints[field.name])
        link = "" if each is None else f"#{re.sub(r'[^a-z_ ]', '', ', '.join(places[each])).replace(' ', '-')}"
        sentence = sentences.get(field.name, "")
        keys.append(Key(name, _value(hints[field.name], whole, link), _unit(name), _default(field, whole), sentence))
    sentence = _TOP if kind is Config else _SUBJECT.sub(_capital, _sentence(kind.__doc__ or ""))
    return Table(tuple(paths), sentence, tuple(keys))


def _value(hint: Any, path: str, link: str) -> str:
    """What a key may be."""
    arguments = typing.get_args(hint)
    null = " or `null`" if type(None) in arguments else ""
    if link:
        value = f"[{'objects' if typing.get_origin(hint) is tuple else 'object'}]({link})"
    elif typing.get_origin(hint) is dict:
        value = f"object: of each name, {'a string' if arguments[1] is str else _words(f'{path}.NAME')}"
    elif Path in {hint, *arguments}:
        value = "a path"
    else:
        value = "`HOST:PORT`" if Address in {hint, *arguments} else _words(path)
    return value + null


def _unit(name: str) -> str:
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _object(hint: Any) -> tuple[type | None, bool]:
    """The class of an object, or of each of a list; None: the value is none of these."""
    arguments = typing.get_args(hint)
    is_list = typing.get_origin(hint) is tuple
    if is_list or isinstance(hint, types.UnionType):
        hint = arguments[0]
    is_class = isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not Address
    return (hint if is_class else None), is_list


def _default(field: dataclasses.Field[Any], path: str) -> str:
    if path in _DEFAULTS:
        return _DEFAULTS[path]
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return "needed"
    if dataclasses.is_dataclass(value):
        return ""
    text = f"`{json.dumps(_plain(value))}`"
    return f"NativeLink's file; else {text}" if path.startswith("gateway.scheduler.") else text


def _plain(value: Any) -> Any:
    """As the file writes it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Address | Path):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _words(path: str) -> str:
    """What the loader says would be right there."""
    value: Any = _WRONG
    for name in reversed(path.split(".")):
        value = {name.removesuffix("[]"): [value] if name.endswith("[]") else value}
    if path.startswith("servers[]."):
        # It is the monitoring service that makes a server the gateway's.
        value["servers"][0].setdefault("services", {"monitoring": {}})
    concrete = path.replace("[]", "[0]")
    with tempfile.NamedTemporaryFile("w", suffix=".json5") as file:
        file.write(json.dumps(value))
        file.flush()
        try:
            load_config(Path(file.name), environment={"HOME": "/home/somebody"})
        except ConfigurationError as error:
            beginning = f"{concrete}: {quoted(_WRONG)}: "
            right = [line.removeprefix(beginning) for line in error.problems if line.startswith(beginning)]
            if right and not right[0].startswith("no such key"):
                return right[0]
    raise LookupError(f"{path}: the loader knows no such key")


def _sentences(kind: type) -> dict[str, str]:
    """The `#:` comments of a class's fields."""
    lines = inspect.getsource(kind).splitlines()
    (tree,) = ast.parse(inspect.cleandoc("\n".join(lines))).body
    found = {}
    for each in tree.body if isinstance(tree, ast.ClassDef) else ():
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            above: list[str] = []
            for line in reversed(lines[: each.lineno - 1]):
                if not line.strip().startswith("#:"):
                    break
                above.insert(0, line.strip().removeprefix("#:").strip())
            found[each.target.id] = _sentence(" ".join(above))
    return found


def _sentence(text: str) -> str:
    """In the file's words."""
    text = " ".join(text.split())
    for python, file in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{python}\b", f"`{file}`", text)
    return text


def _capital(beginning: re.Match[str]) -> str:
    return beginning[1].upper()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(reference())
