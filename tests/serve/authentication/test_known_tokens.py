from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.trust import Credentials, Role
from gateway.config.types import Config
from gateway.serve.authentication.caller import Identity, Kind
from gateway.serve.authentication.first_token import make_first_token, show_first_token
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.token_file import change_tokens
from tests.serve.authentication.showing import new_token


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Known(KnownTokens):
    """Its clock is the test's."""

    def __init__(self, config: Config) -> None:
        self.clock = Clock()
        super().__init__(config, monotonic=self.clock)

    def after(self, seconds: float) -> None:
        self.clock.now += seconds
        self.look()


def test_a_token_is_known_with_its_name_and_role_and_another_is_not(config: Config) -> None:
    token = new_token(config, Role.OPERATOR, "someone")
    known = Known(config)
    assert known.are_made
    assert known.identify(token) == Identity("someone", Kind.TOKEN, Role.OPERATOR)
    for wrong in ("", "a", token[:-1], token[:-1] + ("0" if token[-1] != "0" else "1"), "nlg_00000000_" + token[13:]):
        assert known.identify(wrong) is None


def test_a_change_counts_within_a_second_and_is_not_looked_for_more_often(config: Config) -> None:
    known = Known(config)
    assert not known.are_made
    token = new_token(config)
    known.after(0.9)
    assert known.identify(token) is None
    known.after(0.2)
    assert known.identify(token) is not None
    change_tokens(config.tokens_file, lambda _: ())
    known.after(1.0)
    assert known.identify(token) is None
    assert known.are_made, "nothing opens because the last token was revoked"


def test_what_cannot_be_used_changes_nothing_and_is_told_once(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    token = new_token(config)
    known = Known(config)
    config.tokens_file.write_text("{}")
    for _ in range(3):
        known.after(1.0)
    assert known.identify(token) is not None
    assert known.problems == [f"{config.tokens_file}: it is no file of tokens: nativelink-gateway token new makes one"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "stays in use" in caplog.text
    config.tokens_file.unlink()
    other = new_token(config)
    known.after(1.0)
    assert known.problems == []
    assert (known.identify(token), known.identify(other) is not None) == (None, True)


def test_a_file_that_opens_to_others_later_changes_nothing(config: Config) -> None:
    token = new_token(config)
    known = Known(config)
    config.tokens_file.chmod(0o644)
    known.after(1.0)
    assert "others may read or change it" in known.problems[0]
    assert known.identify(token) is not None
    config.tokens_file.chmod(0o600)
    known.after(1.0)
    assert known.problems == []


def test_what_could_never_be_used_has_no_tokens_and_opens_nothing(config: Config) -> None:
    config.tokens_file.write_text("broken")
    known = Known(config)
    assert known.are_made
    assert known.problems


def test_a_file_that_is_gone_has_no_tokens(config: Config) -> None:
    token = new_token(config)
    known = Known(config)
    config.tokens_file.unlink()
    known.after(1.0)
    assert (known.identify(token), known.are_made, known.problems) == (None, False, [])


def test_where_somebody_says_where_tokens_are_they_are_made_whether_or_not_they_are_there(config: Config, tmp_path: Path) -> None:
    known = Known(replace(config, credentials=Credentials(tokens_file=tmp_path / "mounted.json")))
    assert known.are_made
    new_token(config)
    known.after(1.0)
    assert known.identify(new_token(config)) is None


def test_the_first_token_is_known_beside_others_until_it_is_revoked(config: Config) -> None:
    make_first_token(config.first_token_file)
    known = Known(config)
    assert not known.are_made
    first = show_first_token(config.first_token_file)
    assert known.identify(first) == Identity("first token", Kind.TOKEN, Role.READER)
    other = new_token(config)
    known.after(1.0)
    assert known.identify(first) is not None
    assert known.identify(other) is not None
    config.first_token_file.unlink()
    known.after(1.0)
    assert (known.identify(first), known.identify(other) is not None) == (None, True)
