"""What a block for a shell tells people to type: its text comes in, its commands go out, and what is wrong with one."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from gateway.cli.arguments import parse
from gateway.serve.description.entry import Route
from gateway.serve.description.table import ROUTES

ROOT = Path(__file__).parents[2]
#: Of curl, those that take a value.
_WITH_VALUE = {"-H", "--header", "-X", "--request", "-d", "--data", "-o", "--max-time", "--cacert", "--cert", "--key"}
_FLAGS = {"-s", "-f", "-S", "-N", "--fail", "--silent", "--no-buffer", "--show-error"}
#: Programs of others: the files of the tree that they are told of have to be there.
_OTHERS = {
    *("cd", "chmod", "echo", "export", "install", "kubectl", "mkdir", "openssl", "pip", "python3", "sudo", "systemctl", "touch"),
}
_OF_THE_TREE = re.compile(r"(?:benchmarks|deploy|docs|gateway|protos|requirements|scripts|tests)/.+")
#: NativeLink's own, which curl may be used on, too.
_NATIVELINKS = "/admin/scheduler/"


def commands(text: str) -> Iterator[list[str]]:
    """Every command of the block, in words."""
    words: list[str] = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split = True
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def problem(words: list[str]) -> str | None:
    """What is wrong with a command; None: nothing."""
    if ">" in words:
        words = words[: words.index(">")]
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if not words:
        return None
    name, *rest = Path(words[0]).name if words[0].startswith("/") else words[0], *words[1:]
    missing = [word for word in rest if _OF_THE_TREE.fullmatch(word) and not list(ROOT.glob(word))]
    if missing:
        return f"there is no {', '.join(missing)}"
    if name in _OTHERS:
        return None
    if name.startswith("scripts/") or name == ".":
        script = ROOT / (rest[0] if name == "." else name)
        there = script.is_file() and (name == "." or os.access(script, os.X_OK))
        return None if there else f"there is no {script}"
    known = _COMMANDS.get(name)
    return known(rest) if known is not None else f"nobody knows whether {name} is right: say so in {Path(__file__).name}"


def _ours(words: list[str]) -> str | None:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            parse(words)
    except SystemExit:
        return complaint.getvalue() or None  # nothing is written for --help
    return None


def _curl(words: list[str]) -> str | None:
    options: dict[str, str] = {}
    addresses: list[str] = []
    left = iter(words)
    for word in left:
        if word in _WITH_VALUE:
            options[word] = next(left)
        elif not word.startswith("-"):
            addresses.append(word)
        elif word not in _FLAGS:
            return f"is {word} an option of curl that takes a value?"
    if len(addresses) != 1:
        return f"one address, not {addresses}"
    method = options.get("-X") or options.get("--request") or ("POST" if {"-d", "--data"} & set(options) else "GET")
    return asked(method, addresses[0])


def asked(method: str, address: str) -> str | None:
    """What is wrong with a question; None: a route answers it."""
    parts = urlsplit(address)
    if parts.path.startswith(_NATIVELINKS):
        return None
    route = next((each for each in ROUTES if each.method == method and _leads_to(each, parts.path)), None)
    if route is None:
        return f"no route is {method} {parts.path}"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        known = next((each for each in route.parameters if each.name == name or _is_property(each.name, name)), None)
        if known is None:
            return f"{route.path} takes no {name}"
        if words := _words(known.schema):
            wrong = set(value.split(",")) - set(words)
            if wrong:
                return f"{name} of {route.path} is none of {wrong}"
    return None


def _leads_to(route: Route, path: str) -> bool:
    beginning, braces, end = route.path.partition("{id}")
    if not braces:
        return path == route.path
    return len(path) > len(beginning + end) and path.startswith(beginning) and path.endswith(end)


def _is_property(known: str, name: str) -> bool:
    return known == "property.NAME" and name.startswith("property.")


def _words(schema: Any) -> list[str]:
    found: list[str] = schema.get("enum") or schema.get("items", {}).get("enum", [])
    return found


def _docker(words: list[str]) -> str | None:
    if words[:1] == ["build"]:
        return None if (ROOT / words[-1] / "Dockerfile").is_file() else f"there is no Dockerfile in {words[-1]}"
    if words[:1] != ["compose"]:
        return "compose is what there is a file for"
    return None if words[1:2] and words[1] in {"up", "down", "ps", "logs", "exec"} else f"docker compose {words[1:2]}?"


def _bazel(words: list[str]) -> str | None:
    """Addresses on localhost are those of the compose file, others those of the shipped ports."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    published = {int(str(port).split(":")[-2]) for service in compose["services"].values() for port in service.get("ports", ())}
    for word in words:
        if word.startswith("--remote_"):
            address = urlsplit(word.partition("=")[2])
            if address.hostname == "localhost" and address.port not in published:
                return f"the compose file publishes no {address.port}"
    return None


#: By name: what is wrong with the words behind it.
_COMMANDS: dict[str, Callable[[list[str]], str | None]] = {
    "nativelink-gateway": _ours,
    "curl": _curl,
    "docker": _docker,
    "bazel": _bazel,
}
