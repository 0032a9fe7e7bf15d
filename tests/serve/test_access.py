import pytest

from gateway.config.types import Authentication
from gateway.serve.access import check_access
from gateway.serve.problems import ProblemError

OTHERS = ["192.0.2.1", "10.0.0.1", "::2", "fe80::1%eth0", "::ffff:192.0.2.1", "0.0.0.0", "", "localhost", None]


@pytest.mark.parametrize("remote", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read(remote: str) -> None:
    check_access(Authentication.AUTO, remote)


@pytest.mark.parametrize("remote", OTHERS)
def test_others_may_not(remote: str | None) -> None:
    with pytest.raises(ProblemError) as problem:
        check_access(Authentication.AUTO, remote)
    assert problem.value.status == 403


@pytest.mark.parametrize("remote", OTHERS)
def test_everybody_may_where_the_configuration_says_so(remote: str | None) -> None:
    check_access(Authentication.NONE, remote)
