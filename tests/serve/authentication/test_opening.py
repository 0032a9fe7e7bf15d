from __future__ import annotations

import logging
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.trust import Credentials
from gateway.config.types import Authentication, Config
from gateway.serve.authentication.first_token import show_first_token
from gateway.serve.authentication.opening import open_gate
from tests.serve.authentication.issuing import settings
from tests.serve.authentication.showing import new_token


@pytest.mark.parametrize("authentication", [Authentication.AUTO, Authentication.REQUIRED])
def test_where_nobody_made_a_credential_a_token_is_made_and_its_place_is_told(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, authentication: Authentication
) -> None:
    caplog.set_level(logging.INFO)
    config = replace(config, authentication=authentication, state_dir=tmp_path / "new" / "state")
    open_gate(config, on_loopback=False)
    token = show_first_token(config.first_token_file)
    assert stat.S_IMODE(config.first_token_file.stat().st_mode) == 0o600
    assert str(config.first_token_file) in caplog.text
    assert "token show" in caplog.text
    assert token not in caplog.text
    assert token[-64:] not in caplog.text
    open_gate(config, on_loopback=False)
    assert show_first_token(config.first_token_file) == token


@pytest.mark.parametrize("local_read", [False, True])
def test_where_there_are_tokens_none_is_made_and_it_is_told_who_needs_one(
    config: Config, caplog: pytest.LogCaptureFixture, local_read: bool
) -> None:
    caplog.set_level(logging.INFO)
    new_token(config)
    open_gate(replace(config, credentials=Credentials(local_read=local_read)), on_loopback=False)
    assert not config.first_token_file.exists()
    assert ("but for peers on this machine" in caplog.text) is local_read


def test_where_everybody_may_read_the_log_warns_and_health_says_so(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    gate = open_gate(replace(config, authentication=Authentication.NONE), on_loopback=False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert gate.notes() == ['Everybody who can connect may read: gateway.authentication is "none"']
    assert not config.first_token_file.exists()


def test_where_nothing_can_be_written_it_goes_on_and_says_who_cannot_read(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    gate = open_gate(replace(config, state_dir=tmp_path / "file" / "state"), on_loopback=False)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "the first one cannot be made: gateway.state_dir:" in caplog.text
    assert gate.notes() == []


def test_what_verifies_signatures_is_loaded_only_where_an_issuer_is_configured() -> None:
    """It takes more memory than everything else here."""
    program = "import sys, gateway.serve.role; print({'jwt', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "set()\n"


def test_an_issuer_is_a_credential_and_keys_that_cannot_be_read_are_a_note(config: Config, tmp_path: Path) -> None:
    gate = open_gate(replace(config, credentials=Credentials(jwt=settings(tmp_path / "nothing.json"))), on_loopback=False)
    assert gate.is_configured
    assert not config.first_token_file.exists()
    assert gate.notes() == ["The issuer's keys cannot be read, those read before stay in use: see the log of serve"]


def test_tokens_that_cannot_be_read_again_are_a_note(config: Config) -> None:
    config.tokens_file.write_text("broken")
    assert "see the log of serve" in open_gate(config, on_loopback=False).notes()[0]
