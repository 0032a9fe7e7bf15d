"""deploy/kubernetes, rendered by kubectl: against Kubernetes' own schemas, the gateway's configuration, and the gateway itself.

kubectl is Debian's package kubernetes-client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import json5
import kubernetes_validate
import pytest
import yaml

from gateway.cli.arguments import parse
from gateway.config.load import load_config
from gateway.config.types import Authentication, Carries, Config
from gateway.serve.description.table import ROUTES
from tests.command import PATIENCE_S, Settings, command, finished
from tests.deploy.programs import program

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "kubernetes"
#: The first in which a sidecar needs no feature gate, and the newest whose schemas are there.
_OLDEST = "1.29"
_NEWEST = kubernetes_validate.latest_version()
_STATE = "/var/lib/nativelink-gateway/state"
_FILE = "/etc/nativelink-gateway/gateway.json5"
_ROLES = ("tap", "observe", "serve")
#: Components that are not in the example.
HTTPS = ("scheduler/https", "workers/https")


@cache
def rendered(*more: str) -> list[dict[str, Any]]:
    """Everything that `kubectl apply -k` would send of the example, and with more components."""
    with TemporaryDirectory() as directory:
        # Kustomize takes no absolute paths.
        example, *components = (os.path.relpath(DEPLOYED / each, Path(directory).resolve()) for each in ("example", *more))
        (Path(directory) / "kustomization.yaml").write_text(json.dumps({"resources": [example], "components": components}))
        kustomize = [program("kubectl", "kubernetes-client"), "kustomize", directory if more else str(DEPLOYED / "example")]
        done = subprocess.run(kustomize, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def one(kind: str, name: str, *more: str) -> dict[str, Any]:
    """Of a generated one, without the end that its content gives its name."""
    (found,) = (
        each
        for each in rendered(*more)
        if each["kind"] == kind and re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", each["metadata"]["name"])
    )
    return found


def pod(name: str, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = one("Deployment", name, *more)["spec"]["template"]["spec"]
    return found


def sidecars(*more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod("nativelink-scheduler", *more)["initContainers"]
    return found


def containers(*more: str) -> Iterator[dict[str, Any]]:
    """All, of all pods."""
    for each in rendered(*more):
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            yield from (*spec.get("initContainers", ()), *spec["containers"])


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "gateway.json5").write_text(one("ConfigMap", "nativelink-gateway")["data"]["gateway.json5"])
    return load_config(tmp_path / "gateway.json5", environment={"STATE_DIRECTORY": _STATE})


@pytest.mark.parametrize("version", [_OLDEST, _NEWEST])
@pytest.mark.parametrize("more", [(), HTTPS])
def test_the_schemas_of_kubernetes_take_everything(version: str, more: tuple[str, ...]) -> None:
    for each in rendered(*more):
        kubernetes_validate.validate(each, version, strict=True)


def test_the_schemas_would_refuse_what_is_wrong() -> None:
    wrong = json.loads(json.dumps(one("Deployment", "nativelink-scheduler")))
    wrong["spec"]["template"]["spec"]["initContainers"][0]["startupProbe"]["periodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, _OLDEST, strict=True)


@pytest.mark.parametrize("more", [(), HTTPS])
def test_the_taps_are_up_first_and_down_last(more: tuple[str, ...]) -> None:
    """Sidecars start in their order, before NativeLink, each when the one before has started; they stop in the opposite order."""
    assert [each["args"][0] for each in sidecars(*more)] == list(_ROLES)
    assert {each["restartPolicy"] for each in sidecars(*more)} == {"Always"}
    assert all("startupProbe" in each for each in sidecars(*more))
    assert [each["name"] for each in pod("nativelink-scheduler", *more)["containers"]] == ["nativelink"]


def test_there_is_time_for_everybody_to_stop(config: Config) -> None:
    assert pod("nativelink-scheduler")["terminationGracePeriodSeconds"] >= 2 * len(_ROLES) * config.stop_timeout_s


def test_every_sidecar_runs_a_role_with_the_configuration_that_is_mounted() -> None:
    for each in sidecars():
        assert parse(each["args"]).config == Path(_FILE)
        assert {"name": "gateway-config", "mountPath": str(Path(_FILE).parent), "readOnly": True} in each["volumeMounts"]
        assert each["env"] == [{"name": "STATE_DIRECTORY", "value": _STATE}]
        assert {"name": "gateway-state", "mountPath": str(Path(_STATE).parent)} in each["volumeMounts"]
        assert each["image"].startswith("nativelink-gateway:")


def test_no_container_may_do_more_than_it_needs() -> None:
    """The restricted profile of Kubernetes' Pod Security Standards, and a read-only root."""
    for each in containers():
        context = each["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "hostPort" not in str(each.get("ports"))
    for each in rendered():
        if each["kind"] == "Deployment":
            spec = each["spec"]["template"]["spec"]
            assert spec["automountServiceAccountToken"] is False
            assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
            assert not any("hostPath" in volume for volume in spec["volumes"])
    assert {each["securityContext"]["runAsUser"] for each in sidecars()} == {10001}
    assert "USER 10001:10001" in (ROOT / "Dockerfile").read_text()


def test_every_container_says_what_it_needs_and_no_tap_waits_for_its_share_of_cpu() -> None:
    for each in containers():
        assert set(each["resources"]["requests"]) == {"cpu", "memory"}
        assert set(each["resources"]["limits"]) == {"memory"}


def test_ports_are_those_of_the_configuration(config: Config) -> None:
    taps = {f"tap-{tap.name}": tap.listen.port for tap in config.taps}
    ports = {port["name"]: port["containerPort"] for each in sidecars() for port in each.get("ports", ())}
    assert ports == {**taps, "gateway-http": config.http.port}
    assert {config.http.host, *(tap.listen.host for tap in config.taps)} == {"0.0.0.0"}
    services = {name: one("Service", name)["spec"] for name in ("nativelink-scheduler", "nativelink-gateway")}
    assert {port["targetPort"] for port in services["nativelink-scheduler"]["ports"]} == set(taps.values())
    # What clients and workers say stays what it was: NativeLink's own ports.
    assert [port["port"] for port in services["nativelink-scheduler"]["ports"]] == [tap.upstream.port for tap in config.taps]
    (http,) = services["nativelink-gateway"]["ports"]
    assert http["port"] == http["targetPort"] == config.http.port
    # A gateway that has nothing to tell yet takes no tap away from builds.
    assert services["nativelink-scheduler"]["publishNotReadyAddresses"] is True
    labels = one("Deployment", "nativelink-scheduler")["spec"]["template"]["metadata"]["labels"]
    assert all(service["selector"].items() <= labels.items() for service in services.values())


def test_only_taps_and_http_are_reached_from_other_pods(config: Config) -> None:
    policy = one("NetworkPolicy", "nativelink-scheduler")["spec"]
    labels = one("Deployment", "nativelink-scheduler")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress"]
    assert all(rule["from"] for rule in policy["ingress"])
    opened = [port["port"] for rule in policy["ingress"] for port in rule["ports"]]
    assert sorted(opened) == sorted([config.http.port, *(tap.listen.port for tap in config.taps)])


def test_a_nativelink_of_the_pod_listens_for_the_taps_alone(config: Config) -> None:
    scheduler = json5.loads(one("ConfigMap", "nativelink-scheduler")["data"]["scheduler.json5"])
    listens = {each["listener"]["http"]["socket_address"]: each["services"] for each in scheduler["servers"]}
    assert set(listens) == {str(tap.upstream) for tap in config.taps}
    for tap in config.taps:
        assert {each.value for each in tap.carries} <= set(listens[str(tap.upstream)])
    simple = scheduler["schedulers"][0]["simple"]["supported_platform_properties"]
    assert {name: kind.value for name, kind in config.scheduler.supported_platform_properties.items()} == simple
    assert scheduler["schedulers"][0]["name"] == config.scheduler_name


def test_workers_register_with_the_service_of_the_taps_under_the_name_of_their_pod(config: Config) -> None:
    (worker,) = json5.loads(one("ConfigMap", "nativelink-worker")["data"]["worker.json5"])["workers"]
    (port,) = (tap.upstream.port for tap in config.taps if Carries.WORKER_API in tap.carries)
    assert worker["local"]["worker_api_endpoint"]["uri"] == f"grpc://nativelink-scheduler:{port}"
    assert worker["local"]["name"] == "${POD_NAME}-"
    (container,) = pod("nativelink-worker")["containers"]
    assert container["env"] == [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]


def test_probes_ask_routes_that_are_open_to_all(config: Config) -> None:
    serve = sidecars()[-1]
    asked = {name: serve[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    routes = {route.path: route for route in ROUTES}
    for name, path in asked.items():
        assert routes[path].role is None
        assert serve[name]["httpGet"]["port"] in {port["name"] for port in serve["ports"]}
    assert config.http.host == "0.0.0.0"


def test_everybody_needs_a_credential_and_secrets_are_files_for_the_group_of_the_image(config: Config) -> None:
    assert config.authentication is Authentication.REQUIRED
    spec = pod("nativelink-scheduler")
    (volume,) = (each for each in spec["volumes"] if "secret" in each)
    assert (volume["secret"]["defaultMode"], spec["securityContext"]["fsGroup"]) == (0o440, 10001)
    mounts = {each["name"]: [m for m in each["volumeMounts"] if m["name"] == volume["name"]] for each in sidecars()}
    assert [name for name, found in mounts.items() if found] == ["gateway-serve"]
    (mount,) = mounts["gateway-serve"]
    assert mount["readOnly"] is True
    assert config.credentials.tokens_file == Path(mount["mountPath"]) / "tokens.json"
    for each in containers():
        assert "envFrom" not in each
        assert not any("secretKeyRef" in str(variable) for variable in each.get("env", ()))


async def started(probe: dict[str, Any], volume: Path, http: int) -> None:
    """Waits until a probe says so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if "exec" in probe:
                words = [word.replace(str(Path(_STATE).parent), str(volume)) for word in probe["exec"]["command"]]
                process = await asyncio.create_subprocess_exec(*words)
                if await process.wait() == 0:
                    return
            else:
                with contextlib.suppress(OSError):
                    if await asked(http, probe["httpGet"]["path"]) == b"HTTP/1.1 200 OK":
                        return
            await asyncio.sleep(0.05)


async def asked(port: int, path: str, headers: str = "") -> bytes:
    """The first line of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n")[0]


async def test_the_three_sidecars_run_as_they_are_deployed(tmp_path: Path) -> None:
    """On other ports and in other folders: each starts when the probe of the one before says so."""
    ours = Settings(tmp_path)
    volume, tokens = tmp_path / "volume", tmp_path / "tokens"
    tokens.mkdir()
    volume.mkdir()
    # As an emptyDir is for a pod with fsGroup.
    volume.chmod(0o2777)
    code, token, said = await finished("token", "new", "--role=reader", "--name=me", f"--tokens-file={tokens / 'tokens.json'}")
    assert code == 0, said
    (tokens / "tokens.json").chmod(0o440)
    settings = json.loads(ours.file.read_text())
    del settings["gateway"]["state_dir"]
    settings["gateway"] |= {"authentication": "required", "credentials": {"tokens_file": str(tokens / "tokens.json")}}
    ours.file.write_text(json.dumps(settings))
    async with AsyncExitStack() as stack:
        running = []
        for each in sidecars():
            arguments = [word.replace(_FILE, str(ours.file)) for word in each["args"]]
            running.append(await stack.enter_async_context(command(*arguments, STATE_DIRECTORY=str(volume / "state"))))
            await started(each["startupProbe"], volume, ours.http)
        await started(sidecars()[-1]["readinessProbe"], volume, ours.http)
        assert (volume / "state").stat().st_mode & 0o777 == 0o700
        assert not (volume / "state" / "first-token").exists()
        assert await asked(ours.http, "/api/v1/workers") == b"HTTP/1.1 401 Unauthorized"
        assert await asked(ours.http, "/api/v1/workers", f"Authorization: Bearer {token.strip()}\r\n") == b"HTTP/1.1 200 OK"
        for role in reversed(running):
            role.send(signal.SIGTERM)
            assert await role.ended() == 0
