"""docs/configuration.md against the types, the loader, and what `check-config` prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_config
from gateway.config.reference import reference, tables
from gateway.config.resolved import to_values
from gateway.config.section import Section
from tests.config.files import ENVIRONMENT, loaded, tap

ROOT = Path(__file__).parents[2]
TABLES = tables()
KEYS = [key for table in TABLES for key in table.keys]
#: Every key of the reference, wherever it may stand.
PATHS = {
    key.name if key.name.startswith("servers") else f"{path}.{key.name}"
    for table in TABLES
    for path in table.paths
    for key in table.keys
}
LISTENER = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}
DIAL = {"ca_file": "/a", "cert_file": "/c", "key_file": "/k", "server_name": "n"}
#: Of every object that may be there, one.
WHOLE = {
    "servers": [{"listener": {"http": {"socket_address": "127.0.0.1:1"}}, "services": {"monitoring": {"scheduler": "S"}}}],
    "gateway": {
        "taps": [tap(tls=LISTENER, upstream_tls=DIAL)],
        "cas": {"endpoint": "c:1"},
        "record_link": {"listen": "0.0.0.0:7", "tls": LISTENER, "endpoints": [{"endpoint": "t:7", "tls": DIAL}]},
        "admin": {"endpoint": "n:1", "tls": DIAL},
        "http_tls": LISTENER,
        "credentials": {
            "jwt": {"issuer": "i", "audience": "a", "jwks_file": "/j"},
            "certificates": [{"subject": "CN=a", "role": "reader"}],
        },
        "introspection": {"listen": "0.0.0.0:9", "tls": LISTENER, "endpoint": "o:9", "endpoint_tls": DIAL},
    },
}


def leaves_and_objects(value: Any, path: str = "") -> Iterator[str]:
    """The path of every key, `[]` for an entry of a list."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield (whole := f"{path}.{key}".removeprefix("."))
            yield from leaves_and_objects(each, whole)
    elif isinstance(value, list):
        for each in value:
            yield from leaves_and_objects(each, f"{path}[]")


def ours(paths: set[str]) -> set[str]:
    """But for those around the monitoring service's, and NativeLink's."""
    return {path for path in paths if path.startswith("gateway.") or path in PATHS}


def test_the_document_is_what_the_types_say() -> None:
    """scripts/reference writes it."""
    assert reference() == (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def test_it_has_every_key_that_the_resolved_configuration_has(tmp_path: Path) -> None:
    assert ours(set(leaves_and_objects(to_values(loaded(tmp_path, WHOLE))))) == PATHS


def test_it_has_every_key_that_the_loader_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()
    ask = Section._get

    def noted(section: Section, key: str) -> Any:
        asked.add(re.sub(r"\[\d+\]", "[]", section.at(key)))
        return ask(section, key)

    monkeypatch.setattr(Section, "_get", noted)
    loaded(tmp_path, WHOLE)
    assert ours(asked) == PATHS


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_every_key_has_a_sentence_and_what_it_may_be_and_its_default(key: Any) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", key.sentence)
    assert key.value
    assert key.default or key.value.startswith("[object]")


def test_every_object_has_a_sentence_and_every_link_leads_to_one() -> None:
    assert all(re.fullmatch(r"[A-Z`].*\.", table.sentence) for table in TABLES)
    links = set(re.findall(r"\]\((#[\w-]+)\)", reference()))
    headings = {
        f"#{re.sub(r'[^a-z_ ]', '', each).replace(' ', '-')}" for each in re.findall(r"^## (.+)$", reference(), re.MULTILINE)
    }
    assert links == headings - {"#gateway"}


def test_defaults_are_those_of_no_file() -> None:
    values = to_values(load_config(environment=ENVIRONMENT))
    told = {path: value for path, value in _flat(values["gateway"], "gateway") if not isinstance(value, dict | list)}
    for table in TABLES:
        for key in table.keys:
            default = re.fullmatch(r"(?:NativeLink's file; else )?`([^$~`]*)`", key.default)
            path = f"{table.paths[0]}.{key.name}"
            if default is not None and path in told and "[]" not in path:
                assert default[1].strip('"') == _as_written(told[path]), path


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}")


def _as_written(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
