from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from gateway.config.trust import Role
from gateway.serve.authentication.first_token import make_first_token, read_first_token, show_first_token
from gateway.serve.authentication.token_file import TokenFileError
from gateway.serve.authentication.tokens import Check, split


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "first-token"


def test_it_is_made_once_for_this_user_and_may_read(file: Path) -> None:
    assert make_first_token(file)
    text = show_first_token(file)
    assert not make_first_token(file)
    assert show_first_token(file) == text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = read_first_token(file)
    id_, secret = split(text) or ("", "")
    assert (token.id, token.role, token.name) == (id_, Role.READER, "first token")
    assert Check(token).holds(secret)
    assert [each.name for each in file.parent.iterdir()] == ["first-token"]


def test_of_several_processes_one_makes_it(file: Path) -> None:
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(make_first_token(file))) for _ in range(2)]
    for thread in threads:
        thread.start()
        # Drafts are told apart by process, of which these are one.
        thread.join()
    assert sorted(made) == [False, True]


def test_what_cannot_be_used_is_told_in_a_sentence(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        show_first_token(file)
    file.write_text("mine")
    with pytest.raises(TokenFileError, match="others may read or change it"):
        show_first_token(file)
    file.chmod(0o600)
    with pytest.raises(TokenFileError, match="there is no token in it: delete it") as problem:
        read_first_token(file)
    assert "mine" not in str(problem.value)
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(TokenFileError, match="first-token: Too many levels of symbolic links"):
        show_first_token(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(TokenFileError, match="no regular file"):
        show_first_token(file)
    with pytest.raises(TokenFileError, match="No such file"):
        make_first_token(file / "nowhere" / "first-token")
