from pathlib import Path

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Address, Introspection
from tests.config.files import loaded, problems

LISTENER = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}
DIAL = {"ca_file": "/a", "cert_file": "/c", "key_file": "/k"}
_BOTH = "introspection goes over TCP with certificates on both sides only"


def test_it_goes_over_tcp_with_certificates_on_both_sides(tmp_path: Path) -> None:
    given = {"listen": "0.0.0.0:7", "tls": LISTENER, "endpoint": "observe:7", "endpoint_tls": {**DIAL, "server_name": "o"}}
    assert loaded(tmp_path, {"gateway": {"introspection": given}}).introspection == Introspection(
        Address("0.0.0.0", 7),
        ListenerTls(Path("/c"), Path("/k"), Path("/a")),
        Address("observe", 7),
        DialTls(Path("/a"), Path("/c"), Path("/k"), "o"),
    )


def test_without_them_it_is_refused(tmp_path: Path) -> None:
    wanted = f"{{ cert_file, key_file, client_ca_file }}: {_BOTH}"
    assert problems(tmp_path, {"gateway": {"introspection": {"listen": "127.0.0.1:7"}}}) == [
        f"gateway.introspection.tls: missing: {wanted}"
    ]
    tls = {"cert_file": "/c", "key_file": "/k"}
    assert problems(tmp_path, {"gateway": {"introspection": {"listen": "127.0.0.1:7", "tls": tls}}}) == [
        f'gateway.introspection.tls: {{"cert_file": "/c", "key_file": "/k"}}: {wanted}'
    ]
    assert problems(tmp_path, {"gateway": {"introspection": {"tls": LISTENER}}}) == [
        "gateway.introspection.listen: missing: HOST:PORT to answer serve of other machines at, or no tls"
    ]
    shown = f"{{ ca_file, cert_file, key_file }}: {_BOTH}"
    assert problems(tmp_path, {"gateway": {"introspection": {"endpoint": "observe:7"}}}) == [
        f"gateway.introspection.endpoint_tls: missing: {shown}, except to this machine's loopback"
    ]
    assert problems(tmp_path, {"gateway": {"introspection": {"endpoint": "observe:7", "endpoint_tls": {"ca_file": "/a"}}}}) == [
        f'gateway.introspection.endpoint_tls: {{"ca_file": "/a"}}: {shown}'
    ]
    elsewhere = "HOST:PORT of gateway.introspection.listen on the machine of observe"
    assert problems(tmp_path, {"gateway": {"introspection": {"endpoint_tls": DIAL}}}) == [
        f"gateway.introspection.endpoint: missing: {elsewhere}, or no endpoint_tls"
    ]


def test_on_loopback_another_implementer_may_answer_in_plaintext(tmp_path: Path) -> None:
    for endpoint in ("127.0.0.1:7", "localhost:7", "[::1]:7", "127.1.2.3:7"):
        introspection = loaded(tmp_path, {"gateway": {"introspection": {"endpoint": endpoint}}}).introspection
        assert (str(introspection.endpoint), introspection.endpoint_tls) == (endpoint, None)
