from pathlib import Path

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Address, RecordEndpoint, RecordLink
from tests.config.files import loaded, problems, tap

LISTENER = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}
DIAL = {"cert_file": "/c", "key_file": "/k"}


def test_records_go_over_tcp_with_certificates_on_both_sides(tmp_path: Path) -> None:
    link = {"listen": "0.0.0.0:7", "tls": LISTENER, "local": False, "endpoints": [{"endpoint": "tap:7", "tls": DIAL}]}
    assert loaded(tmp_path, {"gateway": {"record_link": link}}).record_link == RecordLink(
        Address("0.0.0.0", 7),
        ListenerTls(Path("/c"), Path("/k"), Path("/a")),
        local=False,
        endpoints=(RecordEndpoint(Address("tap", 7), DialTls(cert_file=Path("/c"), key_file=Path("/k"))),),
    )


def test_without_them_it_is_refused(tmp_path: Path) -> None:
    wanted = "{ cert_file, key_file, client_ca_file }: records go over TCP with certificates on both sides only"
    assert problems(tmp_path, {"gateway": {"record_link": {"listen": "h:7"}}}) == [
        f"gateway.record_link.tls: missing: {wanted}",
    ]
    tls = {"cert_file": "/c", "key_file": "/k"}
    assert problems(tmp_path, {"gateway": {"record_link": {"listen": "h:7", "tls": tls}}}) == [
        f'gateway.record_link.tls: {{"cert_file": "/c", "key_file": "/k"}}: {wanted}',
    ]
    assert problems(tmp_path, {"gateway": {"record_link": {"tls": LISTENER}}}) == [
        "gateway.record_link.listen: missing: HOST:PORT to publish records at, or no tls"
    ]
    shown = "{ cert_file, key_file } and mostly ca_file: records go over TCP with certificates on both sides only"
    assert problems(tmp_path, {"gateway": {"record_link": {"endpoints": [{}, {"endpoint": "h:1", "tls": {}}]}}}) == [
        "gateway.record_link.endpoints[0].endpoint: missing: HOST:PORT of gateway.record_link.listen on the tap's machine",
        f"gateway.record_link.endpoints[0].tls: missing: {shown}",
        f"gateway.record_link.endpoints[1].tls: {{}}: {shown}",
    ]


def test_taps_that_are_elsewhere_have_endpoints(tmp_path: Path) -> None:
    assert problems(tmp_path, {"gateway": {"record_link": {"local": False}}}) == [
        "gateway.record_link.endpoints: missing: the record links of taps on other machines, where local is false"
    ]


def test_every_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    settings = {"taps": [tap(listen="h:9")], "tap": {"processes": 3}, "record_link": {"listen": "h:7", "tls": LISTENER}}
    assert problems(tmp_path, {"gateway": settings}) == [
        'gateway.record_link.listen: "h:9": another address than gateway.taps[0].listen has'
    ]
