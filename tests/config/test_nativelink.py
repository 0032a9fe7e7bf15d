from pathlib import Path
from typing import Any

from gateway.config.types import Address, Carries, Cas, PropertyType, Scheduler
from tests.config.files import loaded, problems, tap

#: Own words, in the shape of a file for one machine.
ONE_MACHINE = """
{
  stores: [{ name: "CAS", memory: {} }],   // not our affair
  schedulers: [{ name: "BUILDS", simple: {
    supported_platform_properties: { cpu_count: "minimum", ISA: "exact" },
    worker_timeout_s: 20, client_action_timeout_s: "2m 30s", max_job_retries: "${RETRIES:-7}", retain_completed_for_s: 1,
  } }],
  servers: [
    { name: "public", listener: { http: { socket_address: "0.0.0.0:9001", http2: {} } }, services: {
      cas: [{ instance_name: "", cas_store: "CAS" }], capabilities: [],
      execution: [{ instance_name: "", cas_store: "CAS", scheduler: "BUILDS" }, { instance_name: "a", scheduler: "BUILDS" }],
    } },
    { listener: { http: { socket_address: "[::]:9002" } }, services: {
      worker_api: { scheduler: "BUILDS" }, admin: {}, health: {},
    } },
    { listener: { http: { socket_address: "127.0.0.1:9003" } }, services: { health: {} } },
  ],
  brand_new_section: { of: ["a", "later", "release"] },
}
"""


def scheduler(spec: Any, name: str = "S") -> dict[str, Any]:
    workers = {"listener": {"http": {"socket_address": "10.0.0.1:9002"}}, "services": {"worker_api": {"scheduler": name}}}
    return {"schedulers": [{"name": name, **spec}], "servers": [workers]}


def server(port: int, *, tls: bool = False, **services: Any) -> dict[str, Any]:
    http: dict[str, Any] = {"socket_address": f"10.0.0.1:{port}"}
    return {"listener": {"http": {**http, "tls": {"cert_file": "c", "key_file": "k"}} if tls else http}, "services": services}


def test_everything_it_says_is_used(tmp_path: Path) -> None:
    config = loaded(tmp_path, nativelink=ONE_MACHINE)
    assert config.scheduler_name == "BUILDS"
    kinds = {"cpu_count": PropertyType.MINIMUM, "ISA": PropertyType.EXACT}
    assert config.scheduler == Scheduler(kinds, 20, 150, 7, keeps_operations=False)
    assert config.cas == Cas(Address("127.0.0.1", 9001))
    assert config.instances == {}
    public, workers = config.taps
    assert (public.name, str(public.listen), str(public.upstream)) == ("execution", "127.0.0.1:9101", "127.0.0.1:9001")
    assert public.carries == {Carries.EXECUTION}
    assert (workers.name, str(workers.listen), str(workers.upstream)) == ("workers", "127.0.0.1:9102", "[::1]:9002")
    assert workers.carries == {Carries.WORKER_API, Carries.ADMIN}


def test_older_files_with_maps_say_the_same(tmp_path: Path) -> None:
    older = {
        "schedulers": {"BUILDS": {"simple": {"supported_platform_properties": {"ISA": "exact"}}}},
        "servers": [
            server(9001, cas={"": {"cas_store": "CAS"}}, execution={"": {"scheduler": "BUILDS"}}),
            server(9002, worker_api={"scheduler": "BUILDS"}, admin={}),
        ],
    }
    config = loaded(tmp_path, nativelink=older)
    assert config.scheduler_name == "BUILDS"
    assert config.scheduler.supported_platform_properties == {"ISA": PropertyType.EXACT}
    assert [str(each.upstream) for each in config.taps] == ["10.0.0.1:9001", "10.0.0.1:9002"]
    assert config.cas == Cas(Address("10.0.0.1", 9001))


def test_the_gateways_own_file_counts_more(tmp_path: Path) -> None:
    own = {
        "gateway": {
            "taps": [tap()],
            "cas": {"endpoint": "127.0.0.1:1"},
            "scheduler": {"worker_timeout_s": 9, "supported_platform_properties": {}, "experimental_backend": "memory"},
        }
    }
    theirs = scheduler({"simple": {"max_job_retries": 8, "worker_timeout_s": 20, "experimental_backend": {"redis": {}}}})
    config = loaded(tmp_path, own, nativelink=theirs)
    assert config.scheduler == Scheduler({}, 9, 60, 8, keeps_operations=False)
    assert [each.name for each in config.taps] == ["execution"]
    assert config.cas == Cas(Address("127.0.0.1", 1))


def test_a_tap_without_upstream_takes_the_listener_that_has_what_it_carries(tmp_path: Path) -> None:
    own = {"gateway": {"taps": [tap(name="w", listen="0.0.0.0:7001", upstream=..., carries=["worker_api"])]}}
    assert str(loaded(tmp_path, own, nativelink=ONE_MACHINE).taps[0].upstream) == "[::1]:9002"
    own = {"gateway": {"taps": [tap(upstream=..., carries=["worker_api", "execution"])]}}
    told = "HOST:PORT of NativeLink's listener, unless --nativelink-config has one that offers the same"
    assert problems(tmp_path, own, nativelink=ONE_MACHINE) == [f"gateway.taps[0].upstream: missing: {told}"]


def test_wrapping_schedulers_are_looked_through(tmp_path: Path) -> None:
    simple: dict[str, Any] = {"simple": {"worker_timeout_s": 33}}
    for wrapping in ("historical_resource", "property_modifier", "cache_lookup"):
        simple = {wrapping: {"scheduler": simple, "whatever": 1}}
    assert loaded(tmp_path, nativelink=scheduler(simple)).scheduler.worker_timeout_s == 33


def test_a_scheduler_behind_grpc_tells_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, nativelink=scheduler({"grpc": {"endpoint": {}}})).scheduler == Scheduler()


def test_redis_keeps_operations_over_a_restart(tmp_path: Path) -> None:
    def keeps(backend: object) -> bool:
        return loaded(tmp_path, nativelink=scheduler({"simple": {"experimental_backend": backend}})).scheduler.keeps_operations

    assert keeps({"redis": {"redis_store": "STORE"}})
    assert not keeps("memory")
    assert not keeps(None)


def test_durations_are_read_as_nativelink_writes_them_and_zero_is_its_default(tmp_path: Path) -> None:
    def timeout(value: object) -> int:
        return loaded(tmp_path, nativelink=scheduler({"simple": {"worker_timeout_s": value}})).scheduler.worker_timeout_s

    assert [timeout(each) for each in (12, "12", "12s", "2m", "1h 1m 1s", "1500ms", "1d")] == [12, 12, 12, 120, 3661, 1, 86400]
    assert [timeout(each) for each in (0, "0", "0s", "300ms")] == [5, 5, 5, 5]


def test_what_is_needed_and_wrong_is_told_with_the_files_name(tmp_path: Path) -> None:
    theirs = {
        "schedulers": [
            {
                "name": "S",
                "simple": {"worker_timeout_s": "soon", "max_job_retries": True, "supported_platform_properties": {"a": "b"}},
            }
        ],
        "servers": [server(9002, worker_api={"scheduler": "S"}), server(90020, execution=[{"scheduler": "$NOWHERE"}])],
    }
    file = f"{tmp_path}/nativelink.json5"
    port = "HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT"
    variable = "the environment variable NOWHERE set, or a default: ${NOWHERE:-…}"
    seconds = 'seconds as a whole number, or a string such as "90" or "1m 30s"'
    assert problems(tmp_path, nativelink=theirs) == [
        f'{file}: schedulers[0].simple.supported_platform_properties.a: "b": one of exact, ignore, minimum, priority',
        f'{file}: schedulers[0].simple.worker_timeout_s: "soon": {seconds}',
        f"{file}: schedulers[0].simple.max_job_retries: true: {seconds}",
        f'{file}: servers[1].listener.http.socket_address: "10.0.0.1:90020": {port}',
        f'{file}: servers[1].services.execution[0].scheduler: "$NOWHERE": {variable}',
    ]


def test_a_file_without_a_listener_for_us_needs_taps(tmp_path: Path) -> None:
    told = "gateway.taps: missing: a list of taps: no server of NativeLink's file has execution, worker_api or admin"
    for servers in ([], [server(9001, cas=[{}])], None, "none"):
        assert problems(tmp_path, nativelink={"servers": servers}) == [told]
    assert loaded(tmp_path, {"gateway": {"taps": [tap()]}}, nativelink={"servers": []}).cas is None


def test_the_scheduler_that_is_shown_has_to_be_there(tmp_path: Path) -> None:
    own = {
        "servers": [
            {"listener": {"http": {"socket_address": "[::1]:1"}}, "services": {"monitoring": {"scheduler": "MAIN_SCHEDULER"}}}
        ]
    }
    assert problems(tmp_path, own, nativelink=ONE_MACHINE) == [
        'servers[0].services.monitoring.scheduler: "MAIN_SCHEDULER": a scheduler of NativeLink\'s file: BUILDS'
    ]


def test_several_schedulers_are_told_apart_by_tap_and_instance(tmp_path: Path) -> None:
    theirs = {
        "schedulers": [{"name": "A", "simple": {}}, {"name": "B", "simple": {"worker_timeout_s": 9}}],
        "servers": [
            server(9001, execution=[{"instance_name": "a", "scheduler": "A"}, {"instance_name": "b", "scheduler": "B"}]),
            server(9002, worker_api={"scheduler": "B"}),
            server(9003, worker_api={"scheduler": "A"}),
        ],
    }
    config = loaded(tmp_path, nativelink=theirs)
    assert (config.scheduler_name, config.scheduler.worker_timeout_s) == ("B", 9)
    assert config.instances == {"a": "A", "b": "B"}
    assert [(each.name, each.scheduler) for each in config.taps] == [("execution", "A"), ("workers", None), ("workers-9003", "A")]


def test_a_listener_with_tls_is_tapped_only_if_nothing_else_offers_the_same(tmp_path: Path) -> None:
    execution, workers = [{"scheduler": "A"}], {"scheduler": "A"}
    both = {"servers": [server(9001, execution=execution), server(9002, tls=True, execution=execution, cas=[{}])]}
    assert [str(each.upstream) for each in loaded(tmp_path, nativelink=both).taps] == ["10.0.0.1:9001"]
    assert loaded(tmp_path, nativelink=both).cas is None
    only = {"servers": [server(9001, tls=True, execution=execution), server(9002, worker_api=workers)]}
    assert [str(each.upstream) for each in loaded(tmp_path, nativelink=only).taps] == ["10.0.0.1:9001", "10.0.0.1:9002"]


def test_a_port_near_the_end_is_tapped_below_it(tmp_path: Path) -> None:
    theirs = {
        "servers": [server(65500, worker_api={"scheduler": "A"}), {"listener": {"unix": "x"}, "services": {"worker_api": {}}}]
    }
    assert [str(each.listen) for each in loaded(tmp_path, nativelink=theirs).taps] == ["127.0.0.1:65400"]
