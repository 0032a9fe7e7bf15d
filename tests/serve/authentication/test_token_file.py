from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from gateway.config.trust import Role
from gateway.serve.authentication.token_file import TOKENS_MAX, TokenFileError, change_tokens, read_tokens
from gateway.serve.authentication.tokens import Token, make_token

NOW = 1_640_995_200.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def add(file: Path, count: int = 1) -> list[Token]:
    made = [make_token(f"number {number}", Role.READER, NOW)[1] for number in range(count)]
    change_tokens(file, lambda tokens: [*tokens, *made])
    return made


def test_what_is_written_is_read_and_nobody_else_may(file: Path) -> None:
    made = add(file, 2) + add(file)
    assert read_tokens(file) == tuple(made)
    assert {stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()} == {0o600}
    assert {each.name for each in file.parent.iterdir()} == {"tokens.json", ".tokens.json.lock"}
    change_tokens(file, lambda _: [])
    assert read_tokens(file) == ()


def test_a_link_stays_one(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file.symlink_to(tmp_path / "elsewhere" / "kept.json")
    made = add(file)
    assert file.is_symlink()
    assert read_tokens(file) == tuple(made)


def test_changes_at_the_same_time_are_all_made(file: Path) -> None:
    threads = [threading.Thread(target=add, args=(file,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_tokens(file)) == 16


def test_no_more_than_the_bound_are_taken(file: Path) -> None:
    add(file, TOKENS_MAX)
    assert len(read_tokens(file)) == TOKENS_MAX
    with pytest.raises(TokenFileError, match="1000 tokens at most: revoke one first"):
        add(file)
    assert len(read_tokens(file)) == TOKENS_MAX


def test_a_change_that_fails_leaves_what_was(file: Path) -> None:
    made = add(file)

    def fails(_: object) -> list[Token]:
        raise LookupError

    with pytest.raises(LookupError):
        change_tokens(file, fails)
    assert read_tokens(file) == tuple(made)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o660, 0o666])
def test_a_file_that_is_open_to_others_is_refused_and_says_what_to_do(file: Path, mode: int) -> None:
    add(file)
    file.chmod(mode)
    with pytest.raises(TokenFileError) as problem:
        read_tokens(file)
    assert str(problem.value) == f"{file}: others may read or change it (mode {mode:04o}): chmod 600"


def test_a_file_that_its_group_may_read_is_as_kubernetes_hands_it_out(file: Path) -> None:
    made = add(file)
    file.chmod(0o440)
    assert read_tokens(file) == tuple(made)


def entry(**changes: object) -> dict[str, object]:
    _, token = make_token("a", Role.READER, NOW)
    return {"id": token.id, "name": "a", "role": "reader", "created": "", "salt": token.salt, "sha256": token.sha256, **changes}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no file of tokens"),
        ("[]", "it is no file of tokens"),
        ("\xff", "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(role="admin")]}), "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(id="../x")]}), "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(id="01234567\n")]}), "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(salt="é" * 32)]}), "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(sha256="")]}), "it is no file of tokens"),
        (json.dumps({"version": 1, "tokens": [entry(name="a\nb")]}), "a token in it has a name that cannot be shown"),
        (json.dumps({"version": 1, "tokens": [entry(id="01234567"), entry(id="01234567")]}), "two tokens in it have the same id"),
        (json.dumps({"version": 2, "tokens": []}), "another release of the gateway wrote it (version 2)"),
        (json.dumps({"version": 1, "tokens": [entry()] * 1_001}), "it has more than 1000 tokens"),
        (" " * 1024 * 1024 + "{}", "it is longer than 1048576 bytes"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence_without_what_is_in_it(file: Path, text: str, why: str) -> None:
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    with pytest.raises(TokenFileError) as problem:
        read_tokens(file)
    assert str(problem.value).startswith(f"{file}: {why}")
    assert problem.value.__cause__ is None or "01234567" not in str(problem.value.__cause__)


def test_a_link_that_leads_nowhere_else_is_told_in_a_sentence(file: Path) -> None:
    file.symlink_to(file)
    with pytest.raises(TokenFileError) as problem:
        read_tokens(file)
    assert str(problem.value) == f"{file}: Too many levels of symbolic links"


def test_no_file_is_no_file_and_a_folder_is_none(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tokens(file)
    file.mkdir()
    with pytest.raises(TokenFileError, match=r"tokens\.json: it is no regular file"):
        read_tokens(file)
    with pytest.raises(TokenFileError, match="No such file or directory"):
        add(file / "deeper" / "tokens.json")
