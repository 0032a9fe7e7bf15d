from pathlib import Path

from tests.config.files import loaded, problems, tap


def test_two_taps_have_two_names_and_two_addresses(tmp_path: Path) -> None:
    assert problems(tmp_path, {"gateway": {"taps": [tap(), tap(carries=["admin"])]}}) == [
        'gateway.taps[1].listen: "127.0.0.1:6001": another address than gateway.taps[0].listen has',
        'gateway.taps[1].name: "execution": another name than gateway.taps[0] has',
    ]


def test_a_tap_does_not_listen_where_nativelink_does(tmp_path: Path) -> None:
    right = "another address than gateway.taps[0].upstream has: NativeLink listens there, not we"
    for listen, upstream in (("h:1", "h:1"), ("0.0.0.0:1", "127.0.0.1:1"), ("localhost:1", "[::1]:1")):
        assert problems(tmp_path, {"gateway": {"taps": [tap(listen=listen, upstream=upstream)]}}) == [
            f'gateway.taps[0].listen: "{listen}": {right}'
        ]


def test_the_same_port_of_another_machine_is_another_address(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"gateway": {"taps": [tap(listen="0.0.0.0:1", upstream="nativelink:1")]}}).taps[0].listen.port == 1


def test_http_and_introspection_have_addresses_of_their_own(tmp_path: Path) -> None:
    tls = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}
    own = {"gateway": {"taps": [tap()], "introspection": {"listen": "127.0.0.1:6001", "tls": tls}}}
    assert problems(tmp_path, own, http="0.0.0.0:6000") == [
        '--http: "0.0.0.0:6000": another address than gateway.taps[0].upstream has: NativeLink listens there, not we',
        'gateway.introspection.listen: "127.0.0.1:6001": another address than gateway.taps[0].listen has',
    ]
    assert problems(tmp_path, {"gateway": {"taps": [tap(listen="127.0.0.1:50062")]}}) == [
        'gateway.taps[0].listen: "127.0.0.1:50062": another address than servers[].listener.http.socket_address has'
    ]
