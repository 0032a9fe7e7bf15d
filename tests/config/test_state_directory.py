import os
from pathlib import Path

import pytest

from gateway.config.state_directory import prepare_state_dir
from gateway.errors import StartError
from tests.config.files import loaded, problems


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_setting_counts_then_systemd_then_the_users_own(tmp_path: Path) -> None:
    systemd = {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}
    user = {"XDG_STATE_HOME": "/xdg"}
    setting = {"gateway": {"state_dir": "/set"}}
    assert loaded(tmp_path, setting, **systemd, **user).state_dir == Path("/set")
    assert loaded(tmp_path, **systemd, **user).state_dir == Path("/var/lib/a")
    assert loaded(tmp_path, **user).state_dir == Path("/xdg/nativelink-gateway")
    assert loaded(tmp_path).state_dir == Path("/home/somebody/.local/state/nativelink-gateway")


def test_the_setting_may_be_relative_or_in_the_home_directory(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"gateway": {"state_dir": "~/x/../y"}}).state_dir == Path("/home/somebody/y")
    assert loaded(tmp_path, {"gateway": {"state_dir": "here"}}).state_dir == Path.cwd() / "here"


def test_an_environment_with_a_relative_path_is_a_problem(tmp_path: Path) -> None:
    right = "an absolute path in $STATE_DIRECTORY, $XDG_STATE_HOME or $HOME, or this setting"
    assert problems(tmp_path, XDG_STATE_HOME="xdg") == [f'gateway.state_dir: "xdg/nativelink-gateway": {right}']


def test_a_path_too_long_for_a_unix_socket_is_a_problem_and_one_that_just_fits_is_none(tmp_path: Path) -> None:
    fits = "/" + "x" * (107 - len("//introspection.sock"))
    assert str(loaded(tmp_path, {"gateway": {"state_dir": fits}}).introspection_socket) == f"{fits}/introspection.sock"
    (found,) = problems(tmp_path, {"gateway": {"state_dir": f"{fits}é"}})
    assert found.startswith("gateway.state_dir: ")
    assert found.endswith("a path 2 bytes shorter: that of the socket introspection.sock in it may have 107 bytes at most")


def test_the_directory_is_made_for_this_user_only(tmp_path: Path) -> None:
    prepare_state_dir(tmp_path / "a" / "state")
    assert mode(tmp_path / "a" / "state") == 0o700


def test_an_empty_directory_or_one_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    prepare_state_dir(state)
    assert mode(state) == 0o700
    (state / "lock").touch()
    (state / "checkpoint").touch()
    state.chmod(0o755)
    prepare_state_dir(state)
    assert mode(state) == 0o700


def test_somebodys_directory_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "letters").touch()
    state.chmod(0o755)
    with pytest.raises(StartError, match=r"holds other things and is open to others \(mode 0755\)"):
        prepare_state_dir(state)
    assert mode(state) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_another_users_directory_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    os.chown(state, 12345, -1)
    with pytest.raises(StartError, match="it belongs to user 12345, with mode 0755"):
        prepare_state_dir(state)


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StartError, match=r"gateway\.state_dir: .*/state: a directory that can be made and used: File exists"):
        prepare_state_dir(tmp_path / "state")
