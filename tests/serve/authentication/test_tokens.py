from __future__ import annotations

import re

import pytest

from gateway.config.trust import Role
from gateway.serve.authentication.tokens import NAME_MAX, Check, is_name, keep, make_token, split

NOW = 1_640_995_200.9
#: docs/security.md, for searches of leaked secrets.
PATTERN = re.compile(r"nlg_[0-9a-f]{8}_[0-9a-f]{64}")


def test_a_token_is_256_random_bits_with_an_id_and_is_found_by_searches() -> None:
    made = [make_token("grafana", Role.READER, NOW) for _ in range(20)]
    assert all(PATTERN.fullmatch(text) for text, _ in made)
    assert len({text[-64:] for text, _ in made}) == 20
    text, token = made[0]
    assert split(text) == (token.id, text[-64:])
    assert (token.name, token.role, token.created) == ("grafana", Role.READER, "2022-01-01T00:00:00Z")


def test_what_is_kept_tells_it_from_others_and_does_not_have_it() -> None:
    text, token = make_token("grafana", Role.READER, NOW)
    _, secret = split(text) or ("", "")
    check = Check(token)
    assert not check.holds("")
    assert check.holds(secret)
    assert check.holds(secret)
    for wrong in ("", secret[:-1], f"{secret}0", secret[:-1] + ("0" if secret[-1] != "0" else "1"), secret.upper() + "x"):
        assert not check.holds(wrong)
        assert not Check(token).holds(wrong)
    assert check.holds(secret)
    assert secret not in repr(token) + repr(check)
    again = keep(text, "other", Role.OPERATOR, NOW)
    assert again.salt != token.salt
    assert again.sha256 != token.sha256
    assert Check(again).holds(secret)


@pytest.mark.parametrize(
    "text",
    ["", "nlg_", "nlg_01234567_", f"nlg_01234567_{'a' * 63}", f"nlg_01234567_{'a' * 65}", f"xlg_01234567_{'a' * 64}",
     f"nlg_01234567-{'a' * 64}", f"nlg_01234567_{'ä' * 64}", f"nlg_01234567_{chr(0xdcff) * 64}"],
)  # fmt: skip
def test_what_does_not_look_like_one_is_none_and_is_not_repeated(text: str) -> None:
    assert split(text) is None
    with pytest.raises(ValueError, match="it is no token") as problem:
        keep(text, "n", Role.READER, NOW)
    assert not text or text not in str(problem.value)


def test_a_name_fits_into_a_line() -> None:
    assert is_name("Grafana of team ä")
    for name in ("", " a", "a ", "a\nb", "\x1b[2J", "a" * (NAME_MAX + 1)):
        assert not is_name(name)
