import os
import resource
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.lock import exclusive_lock


def test_one_holds_it_and_the_next_is_told_who(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        with pytest.raises(StartError) as refused, exclusive_lock(tmp_path / "lock", "a.setting"):
            pytest.fail("held twice")
        assert str(refused.value) == (
            f"a.setting: {tmp_path}: in use by another gateway (pid {os.getpid()}, lock): stop that one, or choose another"
        )
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        pass


def test_a_process_that_died_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1234567\n")
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_full_disk_keeps_nobody_from_holding_it(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with (
            exclusive_lock(tmp_path / "lock", "a.setting"),
            pytest.raises(StartError, match=r"pid unknown"),
            exclusive_lock(tmp_path / "lock", "a.setting"),
        ):
            pytest.fail("held twice")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match=r"a\.setting: cannot open .*: No such file or directory"),
        exclusive_lock(tmp_path / "none" / "lock", "a.setting"),
    ):
        pytest.fail("held without a file")
