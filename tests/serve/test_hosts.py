import pytest

from gateway.serve.hosts import is_local_host, is_loopback


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:50062", "localhost.", "localhost:", "gateway.localhost:80", "127.0.0.1", "127.8.9.1:1"),
        *("[::1]", "[::1]:50062", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:80"),
    ],
)
def test_names_that_only_this_machine_can_have_are_local(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            None,
            "",
            ":80",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "example.org:127",
            "notlocalhost",
            "localhost..",
        ),
        *("192.0.2.1", "[::2]", "::1", "[::1", "[::1]x", "0.0.0.0", "[::]", "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1"),
        *("localhost:80:80", "localhost:x", "a@localhost", "localhost/", "localhost,example.org", " localhost", "localhost\n"),
        *("localhost#", "ⓛocalhost", "127.0.0.\uff11", "[::1%lo]", "\udcfflocalhost", "[localhost]", "a" * 10_000 + ".localhost"),
    ],
)
def test_everything_else_is_not(host: str | None) -> None:
    assert not is_local_host(host)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_addresses_of_loopback_are_told_from_others(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["192.0.2.1", "10.0.0.1", "::2", "fe80::1%eth0", "::ffff:192.0.2.1", "0.0.0.0", "", "localhost"]
)
def test_addresses_of_others_are_told_from_loopback(address: str) -> None:
    assert not is_loopback(address)
