"""`nativelink-gateway token`, as it is typed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config.load import load_config
from gateway.config.trust import Role
from gateway.serve.authentication.first_token import make_first_token, show_first_token
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.token_file import read_tokens


class Typed:
    """What a command wrote."""

    def __init__(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.file = tmp_path / "gateway.json5"
        self.file.write_text(json.dumps({"gateway": {"state_dir": str(tmp_path / "state")}}))
        self.config = load_config(self.file)
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main(["token", *words, *([] if "--config" in words else ["--config", str(self.file)])])
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def knows(self, token: str) -> Role | None:
        found = KnownTokens(self.config).identify(token)
        return found.role if found is not None else None


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(tmp_path, capsys)


def test_a_new_token_is_alone_on_stdout_and_accepted_and_not_kept(typed: Typed) -> None:
    code, out, err = typed("new", "--role", "operator", "--name", "deploy bot")
    token = out.removesuffix("\n")
    assert (code, typed.knows(token)) == (0, Role.OPERATOR)
    assert "This is shown once" in err
    assert token[-64:] not in err
    file = typed.config.tokens_file
    assert token[-64:] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(typed.config.state_dir.stat().st_mode) == 0o700


def test_tokens_are_listed_without_what_is_secret_and_revoked_by_id(typed: Typed) -> None:
    tokens = [typed("new", "--role", role, "--name", f"a {role}")[1].strip() for role in ("reader", "operator")]
    make_first_token(typed.config.first_token_file)
    tokens.append(show_first_token(typed.config.first_token_file))
    _, out, _ = typed("list")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", *(token.split("_")[1] for token in tokens)]
    assert [line[10:18].strip() for line in lines[1:]] == ["reader", "operator", "reader"]
    assert [line[42:] for line in lines[1:]] == ["a reader", "a operator", "first token"]
    assert not any(token[-64:] in out for token in tokens)
    for number, token in enumerate(tokens):
        assert typed("revoke", token.split("_")[1]) == (0, "", "")
        assert [typed.knows(each) is not None for each in tokens] == [later > number for later in range(len(tokens))]
    code, _, err = typed("revoke", "01234567")
    assert (code, err) == (
        1,
        "nativelink-gateway token: no token has the id '01234567': `nativelink-gateway token list` shows them\n",
    )


def test_the_first_token_is_shown_and_a_revoked_one_does_not_come_again(typed: Typed) -> None:
    assert typed("list")[1].splitlines() == ["ID        ROLE      CREATED               NAME"]
    code, out, err = typed("show")
    assert (code, out) == (1, "")
    assert "no start made a token here" in err
    typed.config.state_dir.mkdir(mode=0o700)
    make_first_token(typed.config.first_token_file)
    code, out, _ = typed("show")
    assert (code, typed.knows(out.strip())) == (0, Role.READER)
    typed("revoke", out.split("_")[1])
    assert typed("show")[0] == 1
    assert KnownTokens(typed.config).are_made


def test_a_file_for_another_place_is_made_where_it_is_said_to_be(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "secret.json"
    _, out, _ = typed("new", "--role", "reader", "--name", "ci", "--tokens-file", str(file))
    assert [token.name for token in read_tokens(file)] == ["ci"]
    assert typed.knows(out.strip()) is None
    assert not typed.config.state_dir.exists()
    assert "ci" in typed("list", "--tokens-file", str(file))[1]
    assert typed("revoke", out.split("_")[1], "--tokens-file", str(file))[0] == 0
    assert read_tokens(file) == ()


@pytest.mark.parametrize("name", ["", "a\nb", " a", "\x1b[2J", "a" * 101])
def test_a_name_that_cannot_be_shown_is_a_mistake(typed: Typed, name: str) -> None:
    code, out, err = typed("new", "--role", "reader", "--name", name)
    assert (code, out) == (1, "")
    assert "--name: one to 100 characters" in err
    assert not typed.config.tokens_file.exists()


def test_a_file_that_cannot_be_used_is_told_in_a_sentence(typed: Typed) -> None:
    typed.config.state_dir.mkdir(mode=0o700)
    typed.config.tokens_file.write_text("mine")
    typed.config.tokens_file.chmod(0o600)
    for words in (["list"], ["new", "--role", "reader", "--name", "a"], ["revoke", "01234567"]):
        code, out, err = typed(*words)
        assert (code, out) == (1, "")
        assert err.startswith(f"nativelink-gateway token: {typed.config.tokens_file}: it is no file of tokens")
    assert typed.config.tokens_file.read_text() == "mine"


def test_words_that_are_missing_or_wrong_are_told_by_the_parser(typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["make"], ["new", "--name", "a"], ["new", "--role", "admin", "--name", "a"], ["revoke"]):
        with pytest.raises(SystemExit) as ended:
            typed(*words)
        assert ended.value.code == 2
        assert "usage: nativelink-gateway token" in capsys.readouterr().err
