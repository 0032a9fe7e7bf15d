import pytest

from gateway.config.types import Authentication
from gateway.serve.access import check_access
from gateway.serve.authentication.caller import Caller, Kind
from gateway.serve.authentication.role import Role
from gateway.serve.problems import ProblemError

OTHERS = ["192.0.2.1", "10.0.0.1", "::2", "fe80::1%eth0", "::ffff:192.0.2.1", "0.0.0.0", "", "localhost", None]


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read(remote: str) -> None:
    assert check_access(Authentication.AUTO, remote, Role.READER) == Caller("loopback", Kind.LOOPBACK, Role.READER, remote)


@pytest.mark.parametrize("remote", OTHERS)
def test_others_may_not(remote: str | None) -> None:
    with pytest.raises(ProblemError) as problem:
        check_access(Authentication.AUTO, remote, Role.READER)
    assert problem.value.status == 403


@pytest.mark.parametrize("remote", OTHERS)
def test_everybody_may_where_the_configuration_says_so(remote: str | None) -> None:
    assert check_access(Authentication.NONE, remote, Role.READER) == Caller("anybody", Kind.ANYBODY, Role.READER, remote)


@pytest.mark.parametrize("authentication", list(Authentication))
def test_nobody_may_do_what_an_operator_may(authentication: Authentication) -> None:
    with pytest.raises(ProblemError) as problem:
        check_access(authentication, "127.0.0.1", Role.OPERATOR)
    assert problem.value.status == 403
