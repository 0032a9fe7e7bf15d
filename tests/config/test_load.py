from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load_config
from gateway.config.types import Address, Authentication, Carries, Cas, Introspection, PropertyType, Retention, Scheduler
from gateway.errors import ConfigurationError
from tests.config.files import ENVIRONMENT, loaded, problems, tap, written

#: As NativeLink's documentation of the Monitoring API has it.
DOCUMENTED = """
{
  "servers": [
    {
      "name": "monitoring",
      "listener": {
        "http": {
          "socket_address": "0.0.0.0:50062"
        }
      },
      "services": {
        "monitoring": {
          "scheduler": "MAIN_SCHEDULER"
        }
      }
    }
  ]
}
"""

#: As design 8 has it.
WHOLE = """
{
  servers: [{ name: "monitoring", listener: { http: { socket_address: "127.0.0.1:50062" } }, services: { monitoring: { scheduler: "MAIN_SCHEDULER" } } }],
  gateway: {
    taps: [
      { name: "execution", listen: "127.0.0.1:50151", upstream: "127.0.0.1:50051", carries: ["execution"] },
      { name: "workers", listen: "127.0.0.1:50161", upstream: "127.0.0.1:50061", carries: ["worker_api", "admin"] },
    ],                                   // tls: {…}, upstream_tls: {…}, scheduler: "…"   (issue by issue)
    cas: { endpoint: "127.0.0.1:50051" },   // or null: digests and timeouts stay unknown
    scheduler: { supported_platform_properties: { cpu_count: "minimum" }, worker_timeout_s: 5, client_action_timeout_s: 60, max_job_retries: 3 },
    retention: { completed_s: 60, completed_max: 10000 },
    introspection: { listen: null, endpoint: null },   // null: a unix socket in state_dir; an endpoint makes `serve` use another implementer
    authentication: "auto",   // "none" opens reading to everybody. Behind a container's published port no peer is loopback
    state_dir: null,   // $STATE_DIRECTORY, else $XDG_STATE_HOME/nativelink-gateway, else ~/.local/state/nativelink-gateway; mode 0700
  },
}
"""  # noqa: E501 # a quotation


def monitoring(address: Any = "127.0.0.1:50062", scheduler: Any = "MAIN_SCHEDULER") -> dict[str, Any]:
    return {
        "name": "monitoring",
        "listener": {"http": {"socket_address": address}},
        "services": {"monitoring": {"scheduler": scheduler}},
    }


def test_the_documented_block_is_a_whole_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, DOCUMENTED)
    assert config.http == Address("0.0.0.0", 50062)
    assert config.scheduler_name == "MAIN_SCHEDULER"
    assert config.authentication is Authentication.AUTO
    assert [str(tap.listen) for tap in config.taps] == ["127.0.0.1:50151", "127.0.0.1:50161"]


def test_the_designs_whole_file_says_what_no_file_says(tmp_path: Path) -> None:
    without = loaded(tmp_path)
    whole = loaded(tmp_path, WHOLE)
    assert whole.scheduler.supported_platform_properties == {"cpu_count": PropertyType.MINIMUM}
    assert loaded(tmp_path, WHOLE.replace('cpu_count: "minimum"', "")) == without
    assert without.taps[1].carries == {Carries.WORKER_API, Carries.ADMIN}
    assert without.cas == Cas(Address("127.0.0.1", 50051))
    assert without.state_dir == Path("/home/somebody/.local/state/nativelink-gateway")


def test_every_setting_reaches_the_configuration(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        {
            "servers": [monitoring("[::1]:7000", "OTHER")],
            "gateway": {
                "taps": [tap(scheduler="THIRD", dial_timeout_s=2)],
                "observe": {"checkpoint_interval_s": 1.5},
                "tap": {
                    "processes": 3,
                    "ring_bytes": 131072,
                    "message_bytes": 2048,
                    "undecoded_bytes": 65536,
                    "decode_interval_ms": 0.5,
                },
                "cas": {"endpoint": "cas.example:1234", "in_flight": 9, "cache_entries": 10},
                "scheduler": {
                    "supported_platform_properties": {"ISA": "exact", "x": "ignore", "y": "priority"},
                    "worker_timeout_s": 7,
                    "client_action_timeout_s": 8,
                    "max_job_retries": 9,
                    "experimental_backend": "redis",
                },
                "retention": {"completed_s": 1, "completed_max": 2},
                "introspection": {"endpoint": "127.0.0.1:7002"},
                "authentication": "none",
                "instances": {"main": "OTHER", "": "THIRD"},
                "state_dir": "/var/lib/here",
                "stop_timeout_s": 9.5,
            },
        },
    )
    assert config.http == Address("::1", 7000)
    assert config.scheduler_name == "OTHER"
    assert (config.taps[0].scheduler, config.taps[0].dial_timeout_s) == ("THIRD", 2.0)
    assert (config.tap.ring_bytes, config.tap.message_bytes, config.tap.undecoded_bytes) == (131072, 2048, 65536)
    assert (config.tap.processes, config.tap.decode_interval_ms) == (3, 0.5)
    assert config.observe.checkpoint_interval_s == 1.5
    assert config.cas == Cas(Address("cas.example", 1234), 9, 10)
    kinds = {"ISA": PropertyType.EXACT, "x": PropertyType.IGNORE, "y": PropertyType.PRIORITY}
    assert config.scheduler == Scheduler(kinds, 7, 8, 9, keeps_operations=True)
    assert config.retention == Retention(1, 2)
    assert config.introspection == Introspection(endpoint=Address("127.0.0.1", 7002))
    assert config.authentication is Authentication.NONE
    assert config.instances == {"main": "OTHER", "": "THIRD"}
    assert config.state_dir == Path("/var/lib/here")
    assert config.stop_timeout_s == 9.5


def test_all_mistakes_are_told_at_once_each_with_its_key_its_value_and_what_is_right(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            "servers": [monitoring("50062", 5)],
            "gateway": {
                "taps": [
                    tap(name=7, listen="127.0.0.1:70000", carries=["execution", "workers"]),
                    tap(name=..., upstream=..., carries=[], dial_timeout_s=-1, speed=3),
                ],
                "cas": {"in_flight": True},
                "tap": {"ring_bytes": "64MB"},
                "retention": {"complete_s": 60},
                "authentication": "open",
                "scheduler": {"supported_platform_properties": {"cpu_count": "min"}, "experimental_backend": "mongo"},
                "instances": {"main": None},
                "introspection": [],
                "stop_timeout_s": 0,
                "state-dir": "/srv",
            },
        },
        http="localhost",
    )
    assert found == [
        'servers[0].listener.http.socket_address: "50062": HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT',
        "servers[0].services.monitoring.scheduler: 5: a string",
        '--http: "localhost": HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT',
        "gateway.taps[0].name: 7: a string",
        'gateway.taps[0].listen: "127.0.0.1:70000": HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT',
        'gateway.taps[0].carries: ["execution", "workers"]: a list of one or more of admin, execution, worker_api',
        "gateway.taps[1].carries: []: a list of one or more of admin, execution, worker_api",
        "gateway.taps[1].dial_timeout_s: -1: a number from 0.1 to 600",
        "gateway.taps[1].speed: 3: no such key; the nearest is scheduler",
        "gateway.taps[1].name: missing: a name, unlike the other taps'",
        "gateway.cas.endpoint: missing: HOST:PORT of NativeLink's CAS, or cas: null",
        "gateway.cas.in_flight: true: a whole number from 1 to 1000",
        'gateway.tap.ring_bytes: "64MB": a whole number from 65536 to 68719476736',
        'gateway.scheduler.experimental_backend: "mongo": "memory" or "redis", or as NativeLink\'s file has it',
        'gateway.scheduler.supported_platform_properties.cpu_count: "min": one of exact, ignore, minimum, priority',
        "gateway.retention.complete_s: 60: no such key; the nearest is completed_s",
        "gateway.introspection: []: an object, { … }",
        'gateway.authentication: "open": one of auto, none, required',
        "gateway.instances.main: null: a string",
        "gateway.stop_timeout_s: 0: a number from 0.5 to 600",
        'gateway.state-dir: "/srv": no such key; the nearest is state_dir',
    ]


def test_keys_outside_of_gateway_are_nativelinks_and_never_wrong(tmp_path: Path) -> None:
    theirs = {"name": "public", "listener": {"http": {"socket_address": 5}}, "services": {"cas": 7}, "anything": []}
    config = loaded(tmp_path, {"stores": [], "globall": {}, "servers": [theirs, {**monitoring("127.0.0.1:1234"), "more": 1}]})
    assert config.http.port == 1234


def test_there_is_one_monitoring_server(tmp_path: Path) -> None:
    assert problems(tmp_path, {"servers": [monitoring(), monitoring()]}) == [
        'servers[1].services.monitoring: {"scheduler": "MAIN_SCHEDULER"}: one monitoring server only'
    ]


def test_a_monitoring_server_has_an_address(tmp_path: Path) -> None:
    assert problems(tmp_path, {"servers": [{"services": {"monitoring": {}}}]}) == [
        "servers[0].listener.http.socket_address: missing: HOST:PORT to answer on"
    ]


def test_an_option_counts_more_than_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, DOCUMENTED, http="127.0.0.1:8080").http == Address("127.0.0.1", 8080)


def test_cas_null_is_none_and_without_the_key_it_is_where_clients_execute(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"gateway": {"cas": None}}).cas is None
    assert loaded(tmp_path, {"gateway": {"taps": [tap()]}}).cas == Cas(Address("127.0.0.1", 6000))
    assert loaded(tmp_path, {"gateway": {"taps": [tap(carries=["worker_api"])]}}).cas is None


def test_zero_is_nativelinks_word_for_its_default(tmp_path: Path) -> None:
    settings = {"worker_timeout_s": 0, "client_action_timeout_s": 0, "max_job_retries": 0}
    assert loaded(tmp_path, {"gateway": {"scheduler": settings}}).scheduler == Scheduler()


def test_a_message_has_to_fit_into_the_ring(tmp_path: Path) -> None:
    assert problems(tmp_path, {"gateway": {"tap": {"ring_bytes": 65536, "message_bytes": 65537}}}) == [
        "gateway.tap.message_bytes: 65537: at most ring_bytes (65536): a record has to fit into the ring"
    ]


def test_strings_are_expanded_as_nativelink_expands_its_own(tmp_path: Path) -> None:
    value = {"gateway": {"state_dir": "${BASE:-/srv}/$NAME", "cas": {"endpoint": "${CAS_HOST}:1"}}}
    config = loaded(tmp_path, value, NAME="n", CAS_HOST="cas")
    assert (str(config.state_dir), str(config.cas and config.cas.endpoint)) == ("/srv/n", "cas:1")
    assert problems(tmp_path, value, NAME="n") == [
        'gateway.cas.endpoint: "${CAS_HOST}:1": the environment variable CAS_HOST set, or a default: ${CAS_HOST:-…}'
    ]


def test_loading_creates_nothing(tmp_path: Path) -> None:
    loaded(tmp_path, {"gateway": {"state_dir": f"{tmp_path}/state"}})
    assert not (tmp_path / "state").exists()


def test_a_file_that_is_not_there_is_told_and_the_rest_too(tmp_path: Path) -> None:
    broken = written(tmp_path, {"gateway": {"taps": [tap(upstream=...), {}]}})
    with pytest.raises(ConfigurationError) as raised:
        load_config(broken, nativelink=tmp_path / "none.json5", environment=ENVIRONMENT)
    assert list(raised.value.problems) == [
        f"{tmp_path}/none.json5: cannot be read (No such file or directory): a JSON5 file that this user may read",
        "gateway.taps[1].name: missing: a name, unlike the other taps'",
        "gateway.taps[1].listen: missing: HOST:PORT to listen on",
        "gateway.taps[1].carries: missing: what comes by, a list of execution, worker_api, admin",
    ]


def test_the_processes_environment_is_used_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert load_config().state_dir == Path("/var/lib/one")
