"""deploy/kubernetes/workers: what happens in a worker's pod before it ends. The hooks' own shell lines run here."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import json5
import pytest

from gateway.cli.arguments import parse
from gateway.client.address import URL_VARIABLE
from tests.deploy.test_kubernetes import one, pod

_PLACES = ("/etc/nativelink-gateway-token", "/drained")


def drains() -> dict[str, Any]:
    """The sidecar that drains."""
    (found,) = pod("nativelink-worker")["initContainers"]
    assert isinstance(found, dict)
    return found


def hook(container: dict[str, Any], directory: Path) -> list[str]:
    """What is run before a container ends, in other folders."""
    words: list[str] = container["lifecycle"]["preStop"]["exec"]["command"]
    for place in _PLACES:
        here = directory / place.rpartition("/")[2]
        here.mkdir(exist_ok=True)
        words = [word.replace(place, str(here)) for word in words]
    return words


def drained(directory: Path, exit_code: int) -> tuple[str, list[str]]:
    """Token and arguments of the drain that the hook asks for, which ends so."""
    program = directory / "nativelink-gateway"
    program.write_text(f'#!/bin/sh\necho "$NATIVELINK_GATEWAY_TOKEN" "$@"\nexit {exit_code}\n')
    program.chmod(0o700)
    words = hook(drains(), directory)
    (directory / "nativelink-gateway-token" / "token").write_text("the token\n")
    environment = {"PATH": f"{directory}:/usr/bin:/bin", "POD_NAME": "worker-7d9f-x2x"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    token, _, arguments = done.stdout.strip().partition(" drain ")
    return token, ["drain", *shlex.split(arguments)]


def test_the_worker_of_the_pod_is_drained_with_the_token_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (address,) = (each["value"] for each in drains()["env"] if each["name"] == URL_VARIABLE)
    monkeypatch.setenv(URL_VARIABLE, address)
    token, arguments = drained(tmp_path, exit_code=0)
    assert token == "the token"  # noqa: S105 # a word
    options = parse(arguments)
    (worker,) = json5.loads(one("ConfigMap", "nativelink-worker")["data"]["worker.json5"])["workers"]
    # NativeLink's LocalWorkerConfig: "{name}{uuidv6}".
    id_ = worker["local"]["name"].replace("${POD_NAME}", "worker-7d9f-x2x") + "1f1ea2e2-f0e5-644e-a523-774b58ec9e84"
    assert id_.startswith(options.id_prefix)
    assert options.id_prefix.startswith("worker-7d9f-x2x")
    service = one("Service", "nativelink-gateway")
    assert options.url == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert options.until_gone
    assert 0 < options.wait < pod("nativelink-worker")["terminationGracePeriodSeconds"]


def test_nativelink_is_kept_until_the_drain_is_over_also_where_it_fails(tmp_path: Path) -> None:
    (nativelink,) = pod("nativelink-worker")["containers"]
    waiting = subprocess.Popen(hook(nativelink, tmp_path))  # noqa: S603
    try:
        assert waiting.poll() is None
        drained(tmp_path, exit_code=1)
        assert waiting.wait(30) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_the_hooks_see_each_others_folder_and_only_one_the_token() -> None:
    (nativelink,) = pod("nativelink-worker")["containers"]
    mounts = [{mount["name"]: mount["mountPath"] for mount in each["volumeMounts"]} for each in (drains(), nativelink)]
    assert mounts[0] == dict(zip(("gateway-token", "gateway-drained"), _PLACES, strict=True))
    assert mounts[1]["gateway-drained"] == "/drained"
    assert "gateway-token" not in mounts[1]
    (volume,) = (each for each in pod("nativelink-worker")["volumes"] if "secret" in each)
    assert volume["secret"]["defaultMode"] == 0o440
    assert pod("nativelink-worker")["securityContext"]["fsGroup"] == 10001


def test_workers_reach_the_http_side_where_they_are_drained() -> None:
    policy = one("NetworkPolicy", "nativelink-scheduler")["spec"]
    labels = one("Deployment", "nativelink-worker")["spec"]["template"]["metadata"]["labels"]
    (port,) = one("Service", "nativelink-gateway")["spec"]["ports"]
    (rule,) = (each for each in policy["ingress"] if each["ports"] == [{"port": port["targetPort"]}])
    assert {"podSelector": {"matchLabels": labels}} in rule["from"]


def test_the_sidecar_waits_and_ends_at_once_when_it_is_told() -> None:
    assert drains()["restartPolicy"] == "Always"
    ready = drains()["command"][-1].replace("& wait", "& echo ready; wait")
    waiting = subprocess.Popen([*drains()["command"][:-1], ready], stdout=subprocess.PIPE, start_new_session=True)  # noqa: S603
    try:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == b"ready\n"
        waiting.terminate()
        assert waiting.wait(30) == 0
    finally:
        # What it waits for outlives it, where no container ends with it.
        os.killpg(waiting.pid, signal.SIGKILL)
        waiting.wait()
        if waiting.stdout is not None:
            waiting.stdout.close()
