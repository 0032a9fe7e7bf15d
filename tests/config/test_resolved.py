import json
from pathlib import Path

from gateway.config.resolved import to_json
from tests.config.files import loaded, tap
from tests.config.test_load import WHOLE
from tests.config.test_nativelink import ONE_MACHINE

JWT = {"issuer": "i", "audience": "a", "jwks_url": "https://i/$$k", "role_claim": "x.y", "clock_skew_s": 5}


def test_the_resolved_file_means_the_same(tmp_path: Path) -> None:
    tls = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}
    dial = {"ca_file": "/a", "cert_file": "/c", "key_file": "/k", "server_name": "n"}
    encrypted = {
        "gateway": {
            "taps": [tap(tls=tls, upstream_tls=dial), tap(name="w", listen="h:1", upstream_tls=dial, trust_all_peers=True)],
            "record_link": {"listen": "0.0.0.0:7", "tls": tls, "local": False, "endpoints": [{"endpoint": "t:7", "tls": dial}]},
            "http_tls": tls,
            "credentials": {"certificates": [{"subject": "CN=a", "role": "reader"}, {"san": "DNS:$$a", "role": "operator"}]},
            "introspection": {"listen": "0.0.0.0:9", "tls": tls, "endpoint": "o:9", "endpoint_tls": dial},
        }
    }
    odd = {
        "gateway": {
            "taps": [tap(name="$$x é", scheduler="S")],
            "state_dir": "/a$$b",
            "cas": None,
            "credentials": {"tokens_file": "/t", "local_read": True, "jwt": JWT},
            "http": {"connections_per_peer": 7, "connections": 8, "cors_origins": ["https://a", "http://b:1"]},
            "instances": {"$i": "$$S"},
        }
    }
    for config in (
        loaded(tmp_path),
        loaded(tmp_path, WHOLE),
        loaded(tmp_path, nativelink=ONE_MACHINE),
        loaded(tmp_path, odd),
        loaded(tmp_path, encrypted),
    ):
        assert loaded(tmp_path, to_json(config), HOME="/elsewhere", STATE_DIRECTORY="/elsewhere") == config


def test_it_has_every_key_of_the_designs_whole_file(tmp_path: Path) -> None:
    resolved = json.loads(to_json(loaded(tmp_path, WHOLE)))
    assert set(resolved) == {"servers", "gateway"}
    assert {"taps", "cas", "scheduler", "retention", "introspection", "authentication", "credentials", "state_dir"} <= set(
        resolved["gateway"]
    )
    assert resolved["gateway"]["state_dir"] == "/home/somebody/.local/state/nativelink-gateway"
