"""Without an engine: whether everything that docker-compose.yml starts would find everything else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import json5
import pytest
import yaml

from gateway.config.load import load_config
from gateway.config.types import Carries, Config, PropertyType

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NATIVELINK = ("cas", "scheduler", "worker-1", "worker-2")


def mounted(service: str, inside: str) -> Path:
    """The file of the tree that a container sees under a path."""
    for volume in SERVICES[service]["volumes"]:
        source, target, *_ = str(volume).split(":")
        if target == inside:
            return ROOT / source
    pytest.fail(f"{service} mounts nothing at {inside}")


def nativelink(service: str) -> dict[str, Any]:
    """The configuration that a NativeLink container is started with."""
    (inside,) = SERVICES[service]["command"]
    value: dict[str, Any] = json5.loads(mounted(service, inside).read_text(), allow_duplicate_keys=False)
    return value


def listens(service: str) -> dict[str, dict[str, Any]]:
    """Port -> services of a NativeLink container."""
    return {
        each["listener"]["http"]["socket_address"].rpartition(":")[2]: each["services"] for each in nativelink(service)["servers"]
    }


def dialled(value: object) -> Iterator[str]:
    """Every grpc:// address in a configuration."""
    if isinstance(value, dict):
        for each in value.values():
            yield from dialled(each)
    elif isinstance(value, list):
        for each in value:
            yield from dialled(each)
    elif isinstance(value, str) and value.startswith("grpc://"):
        yield value.removeprefix("grpc://")


def published(service: str) -> dict[str, str]:
    """Port inside -> address outside."""
    ports = (each.rpartition(":") for each in SERVICES[service].get("ports", ()))
    return {inside: outside for outside, _, inside in ports}


@pytest.fixture(scope="module")
def config() -> Config:
    command = SERVICES["gateway"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert command[0] == "run"
    return load_config(
        mounted("gateway", options["--config"]),
        nativelink=mounted("gateway", options["--nativelink-config"]),
        environment={"STATE_DIRECTORY": "/var/lib/nativelink-gateway"},
    )


def test_every_nativelink_is_the_image_of_the_variable() -> None:
    image = COMPOSE["x-nativelink"]["image"]
    assert image.startswith("${NATIVELINK_IMAGE:-")
    assert {SERVICES[each]["image"] for each in ("cas", "scheduler")} == {image}
    assert SERVICES["worker-1"]["build"] == SERVICES["worker-2"]["build"]
    assert SERVICES["worker-1"]["build"]["args"] == {"NATIVELINK_IMAGE": image}


def test_workers_have_a_shell_and_a_compiler_around_nativelinks_program() -> None:
    build = SERVICES["worker-1"]["build"]
    instructions = (ROOT / build["context"] / build["dockerfile"]).read_text().splitlines()
    assert [line for line in instructions if line.startswith("FROM")] == [
        "FROM ${NATIVELINK_IMAGE} AS nativelink",
        "FROM ${TOOLCHAIN_IMAGE}",
    ]
    assert "COPY --from=nativelink /bin/nativelink /usr/local/bin/nativelink" in instructions


@pytest.mark.parametrize("service", NATIVELINK)
def test_every_address_that_a_nativelink_dials_is_one_that_somebody_listens_on(service: str, config: Config) -> None:
    taps = {f"gateway:{tap.listen.port}" for tap in config.taps}
    storage = {f"cas:{port}" for port, services in listens("cas").items() if "cas" in services and "ac" in services}
    assert set(dialled(nativelink(service))) <= taps | storage


def test_each_tap_stands_before_the_listener_that_has_what_it_carries(config: Config) -> None:
    for tap in config.taps:
        assert tap.upstream.host == "scheduler"
        assert {each.value for each in tap.carries} <= set(listens("scheduler")[str(tap.upstream.port)])
        assert tap.listen.host == "0.0.0.0"


def test_both_workers_register_with_the_tap_for_workers_and_are_told_apart(config: Config) -> None:
    (tap,) = (each for each in config.taps if Carries.WORKER_API in each.carries)
    for service in ("worker-1", "worker-2"):
        (worker,) = nativelink(service)["workers"]
        assert worker["local"]["worker_api_endpoint"]["uri"] == f"grpc://gateway:{tap.listen.port}"
        assert worker["local"]["name"] == "${WORKER_NAME:-worker}-"
        assert SERVICES[service]["environment"]["WORKER_NAME"] == service
    assert not set(SERVICES["worker-1"]["volumes"]) & set(SERVICES["worker-2"]["volumes"]) - {
        "./deploy/compose/worker.json5:/etc/nativelink/worker.json5:ro"
    }


def test_clients_reach_the_tap_for_execution_and_the_cas_itself_from_this_machine_only(config: Config) -> None:
    (tap,) = (each for each in config.taps if Carries.EXECUTION in each.carries)
    assert published("gateway") == {
        str(config.http.port): f"127.0.0.1:{config.http.port}",
        str(tap.listen.port): f"127.0.0.1:{tap.listen.port}",
    }
    assert published("cas") == {port: f"127.0.0.1:{port}" for port in listens("cas")}
    assert not published("scheduler")
    usage = (ROOT / "docker-compose.yml").read_text()
    assert f"--remote_executor=grpc://localhost:{tap.listen.port} --remote_cache=grpc://localhost:50051" in usage


def test_the_gateway_reads_the_schedulers_file_and_the_cas(config: Config) -> None:
    assert config.scheduler_name == nativelink("scheduler")["schedulers"][0]["name"]
    assert config.scheduler.supported_platform_properties["cpu_count"] is PropertyType.MINIMUM
    assert config.cas is not None
    assert config.cas.endpoint.host == "cas"
    assert "cas" in listens("cas")[str(config.cas.endpoint.port)]


def test_workers_declare_what_the_scheduler_knows() -> None:
    known = nativelink("scheduler")["schedulers"][0]["simple"]["supported_platform_properties"]
    assert set(nativelink("worker-1")["workers"][0]["local"]["platform_properties"]) == set(known)


def test_stores_that_are_named_are_there() -> None:
    for service in NATIVELINK:
        value = nativelink(service)
        stores = {each["name"] for each in value["stores"]}
        named = {each for key, each in _strings(value) if key in {"cas_store", "ac_store", "cas_fast_slow_store"}}
        assert named <= stores


def test_what_is_mounted_and_needed_is_there_and_every_volume_is_declared() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
        assert set(service.get("depends_on", ())) <= set(SERVICES)


def test_the_engine_waits_longer_than_the_gateway_takes_to_stop(config: Config) -> None:
    assert int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s")) > config.stop_timeout_s


def test_prometheus_scrapes_the_gateway_and_grafana_asks_prometheus(config: Config) -> None:
    scraping = yaml.safe_load((mounted("prometheus", "/etc/prometheus") / "prometheus.yml").read_text())
    ((target,),) = (each["targets"] for job in scraping["scrape_configs"] for each in job["static_configs"])
    assert target == f"gateway:{config.http.port}"
    provisioning = mounted("grafana", "/etc/grafana/provisioning")
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (port,) = published("prometheus")
    assert source["url"] == f"http://prometheus:{port}"
    assert source["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]


def test_the_dashboard_is_where_grafana_looks_and_is_its_home() -> None:
    provisioning = mounted("grafana", "/etc/grafana/provisioning")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "nativelink.yml").read_text())["providers"]
    folder = provider["options"]["path"]
    (dashboard,) = mounted("grafana", folder).glob("*.json")
    assert SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/{dashboard.name}"


def _strings(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, str):
                yield key, each
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
