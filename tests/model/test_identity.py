import pytest

from gateway.model.identity import Digest, StreamId, function_by_hash_length


@pytest.mark.parametrize(
    ("length", "function"), [(32, "md5"), (40, "sha1"), (64, "sha256"), (96, "sha384"), (128, "sha512"), (10, "")]
)
def test_a_digest_function_is_told_by_the_length_of_the_hash(length: int, function: str) -> None:
    assert function_by_hash_length("a" * length) == function


def test_a_digest_is_shown_with_its_function_where_it_is_known() -> None:
    assert str(Digest("sha256", "ab", 1)) == "sha256:ab"
    assert str(Digest("", "ab", 1)) == "ab"


def test_a_stream_names_its_connection() -> None:
    assert StreamId("run", 3, 5).connection_id == ("run", 3)
