import pytest

from gateway.client.address import DEFAULT_URL, authorization, split_url
from gateway.client.problems import MistakeError


@pytest.mark.parametrize("url", [DEFAULT_URL, "https://gateway.example", "http://[::1]:1/behind/a/prefix/"])
def test_an_address_may_have_a_prefix(url: str) -> None:
    assert split_url(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost:50062", "127.0.0.1", "ftp://x", "http://", "http://x:0", "http://x:99999", "http://x:y", "http://x?a=b"),
        *("http://x#y", "http://[::1", "http://x/a b", "http://x/\r\nHost: y", "http://ä"),
    ],
)
def test_what_is_none_is_told_with_one_that_is(url: str) -> None:
    with pytest.raises(MistakeError, match=f"an address such as {DEFAULT_URL}") as refused:
        split_url(url)
    assert refused.value.exit_code == 2


def test_a_password_in_it_is_refused_and_not_repeated() -> None:
    with pytest.raises(MistakeError, match="a token goes into NATIVELINK_GATEWAY_TOKEN") as refused:
        split_url("http://me:secret@gateway:1")
    assert "secret" not in str(refused.value)
    assert "me" not in str(refused.value).split(":")[1]


def test_a_token_is_one_word_of_a_header() -> None:
    assert authorization("abc.DEF-1=") == "Bearer abc.DEF-1="


@pytest.mark.parametrize("token", ["", " ", "secret\r\nX: y", "secretä", "secret\x00"])
def test_what_is_no_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(MistakeError, match="NATIVELINK_GATEWAY_TOKEN") as refused:
        authorization(token)
    assert "secret" not in str(refused.value)
