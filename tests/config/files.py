"""Configuration files for tests: a value or a text comes in, a path goes out; and what loading it complained about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_config
from gateway.config.types import Config
from gateway.errors import ConfigurationError

#: All that choosing a state directory needs.
ENVIRONMENT: Mapping[str, str] = {"HOME": "/home/somebody"}


def written(directory: Path, value: Any, name: str = "gateway.json5") -> Path:
    """A file with the value, or with the text as it is."""
    file = directory / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return file


def loaded(directory: Path, value: Any = None, *, nativelink: Any = None, http: str | None = None, **environment: str) -> Config:
    """What a file with the value resolves to."""
    return load_config(
        None if value is None else written(directory, value),
        nativelink=None if nativelink is None else written(directory, nativelink, "nativelink.json5"),
        http=http,
        environment={**ENVIRONMENT, **environment},
    )


def problems(
    directory: Path, value: Any = None, *, nativelink: Any = None, http: str | None = None, **environment: str
) -> list[str]:
    """What is wrong with a file with the value."""
    with pytest.raises(ConfigurationError) as raised:
        loaded(directory, value, nativelink=nativelink, http=http, **environment)
    return list(raised.value.problems)


def tap(**changes: Any) -> dict[str, Any]:
    """An entry of gateway.taps."""
    entry = {"name": "execution", "listen": "127.0.0.1:6001", "upstream": "127.0.0.1:6000", "carries": ["execution"]}
    return {key: value for key, value in {**entry, **changes}.items() if value is not ...}
