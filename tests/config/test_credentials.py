from pathlib import Path

from gateway.config.types import Authentication, Credentials
from tests.config.files import loaded, problems


def gateway(authentication: str = "auto", **credentials: object) -> dict[str, object]:
    return {"gateway": {"authentication": authentication, "credentials": credentials}}


def test_nothing_is_configured_unless_it_is_said(tmp_path: Path) -> None:
    for config in (loaded(tmp_path), loaded(tmp_path, gateway()), loaded(tmp_path, {"gateway": {"credentials": None}})):
        assert config.authentication is Authentication.AUTO
        assert config.credentials == Credentials()
        assert config.tokens_file == config.state_dir / "tokens.json"


def test_what_is_said_counts_and_files_are_absolute(tmp_path: Path) -> None:
    config = loaded(tmp_path, gateway(tokens_file="tokens.json", local_read=True))
    assert config.credentials.local_read
    assert config.tokens_file == Path.cwd() / "tokens.json"
    assert loaded(tmp_path, gateway("required", tokens_file="${T:-/t}")).tokens_file == Path("/t")


def test_what_means_nothing_or_is_wrong_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path, gateway("required", local_read=True)) == [
        'gateway.credentials.local_read: true: false: with gateway.authentication "required" it means nothing'
    ]
    assert problems(tmp_path, gateway(tokens_file=5, local_read="yes", nothing="x")) == [
        "gateway.credentials.tokens_file: 5: a string",
        'gateway.credentials.local_read: "yes": true or false',
        'gateway.credentials.nothing: "x": no such key; the nearest is tokens_file',
    ]
