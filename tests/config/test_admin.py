"""`gateway.admin`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.trust import DialTls
from gateway.config.types import Address, Admin
from tests.config.files import loaded, problems


def test_without_it_the_tap_that_carries_admin_is_called(tmp_path: Path) -> None:
    assert loaded(tmp_path, {}).admin == Admin(None, "/admin", None)


def test_every_key_of_it(tmp_path: Path) -> None:
    admin = {"endpoint": "nativelink:50061", "path": "/our/admin", "tls": {}}
    found = loaded(tmp_path, {"gateway": {"admin": admin}}).admin
    assert found == Admin(Address("nativelink", 50061), "/our/admin", DialTls())


@pytest.mark.parametrize("path", ["admin", "/admin/", "/", "/ad min", "/admin?x", "/admin\r\nX: y"])
def test_a_path_that_is_none_is_a_problem(path: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {"gateway": {"admin": {"path": path}}})
    assert problem.startswith("gateway.admin.path: ")
    assert "services.admin.path" in problem


def their_file(**admin: str) -> dict[str, Any]:
    workers = {"socket_address": "127.0.0.1:50061"}
    return {"servers": [{"listener": {"http": workers}, "services": {"worker_api": {"scheduler": "S"}, "admin": admin}}]}


@pytest.mark.parametrize(("theirs", "path"), [({"path": "/their/admin"}, "/their/admin"), ({}, "/admin")])
def test_nativelinks_own_file_says_where_it_is(theirs: dict[str, str], path: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, nativelink=their_file(**theirs)).admin == Admin(None, path, None)
    own = {"gateway": {"admin": {"path": "/ours"}}}
    assert loaded(tmp_path, own, nativelink=their_file(**theirs)).admin.path == "/ours"


def test_a_path_of_nativelinks_that_is_none_is_a_problem_of_its_file(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, nativelink=their_file(path="admin"))
    assert "servers[0].services.admin.path: " in problem
    assert not problem.startswith("gateway.")
