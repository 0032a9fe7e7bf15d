from pathlib import Path

import pytest

from gateway.config.types import HttpOptions
from tests.config.files import loaded, problems

RIGHT = (
    "an origin, https://HOST or https://HOST:PORT (or http): each by name, no *, no path, and no port that its scheme has anyway"
)
LIST = 'a list of at most 100 origins, "https://dash.example"'


def http(*origins: object) -> dict[str, object]:
    return {"gateway": {"http": {"cors_origins": list(origins)}}}


def test_no_pages_of_others_may_read_unless_it_is_said(tmp_path: Path) -> None:
    for value in (None, http(), {"gateway": {"http": {"cors_origins": None}}}):
        assert loaded(tmp_path, value).http_options == HttpOptions()


def test_origins_are_as_browsers_send_them_and_once(tmp_path: Path) -> None:
    said = http("https://Dash.example", "HTTP://localhost:3000", "http://[::1]:65535", "https://dash.example", "${HERE}")
    config = loaded(tmp_path, said, HERE="https://a_b")
    assert config.http_options.cors_origins == (
        "https://dash.example",
        "http://localhost:3000",
        "http://[::1]:65535",
        "https://a_b",
    )


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "https://*", "https://*.example", "null", "dash.example", "//dash.example", "file://a", "https://"),
        *("https://a/", "https://a/b", "https://a?", "https://a#", "https://u@a", "https://a b", "https://é", "https://a\n"),
        *("https://a:443", "http://a:80", "https://a:0", "https://a:01", "https://a:65536", "https://a:", "https://::1"),
    ],
)
def test_what_no_browser_sends_as_an_origin_is_told(tmp_path: Path, origin: str) -> None:
    (problem,) = problems(tmp_path, http("https://a", origin))
    assert problem.startswith("gateway.http.cors_origins[1]: ")
    assert problem.endswith(f": {RIGHT}")


def test_what_is_no_list_of_them_or_too_long_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path, {"gateway": {"http": {"cors_origins": "https://a"}}}) == [
        f'gateway.http.cors_origins: "https://a": {LIST}'
    ]
    assert problems(tmp_path, http("https://a", 5)) == [f'gateway.http.cors_origins: ["https://a", 5]: {LIST}']
    (problem,) = problems(tmp_path, http(*(f"https://a{number}" for number in range(101))))
    assert problem.endswith(LIST)
    assert len(loaded(tmp_path, http(*(f"https://a{number}" for number in range(100)))).http_options.cors_origins) == 100
    assert problems(tmp_path, http("${NOWHERE}", "")) == [
        'gateway.http.cors_origins[0]: "${NOWHERE}": the environment variable NOWHERE set, or a default: ${NOWHERE:-…}',
        'gateway.http.cors_origins[1]: "": a string that is not empty and has no NUL',
    ]
