"""deploy/kubernetes, scheduler/https and workers/https: what else there is where the gateway speaks TLS."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

from gateway.client.address import URL_VARIABLE
from gateway.config.load import load_config
from tests.certificates import Authority
from tests.command import Settings, command
from tests.deploy.test_kubernetes import DEPLOYED, HTTPS, one, pod, sidecars
from tests.serve.running import eventually

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_SECRET = "nativelink-gateway-tls"  # noqa: S105 # its name


def secret(spec: dict[str, Any]) -> dict[str, Any]:
    """The volume of a pod that has the certificate."""
    (found,) = (volume for volume in spec["volumes"] if volume.get("secret", {}).get("secretName") == _SECRET)
    assert isinstance(found, dict)
    return found


def test_probes_of_serve_ask_over_tls_and_are_otherwise_as_without() -> None:
    plain, encrypted = sidecars()[-1], sidecars(*HTTPS)[-1]
    for name in _PROBES:
        assert encrypted[name] == {**plain[name], "httpGet": {**plain[name]["httpGet"], "scheme": "HTTPS"}}
    assert sidecars(*HTTPS)[:-1] == sidecars()[:-1]
    (port,) = one("Service", "nativelink-gateway", *HTTPS)["spec"]["ports"]
    assert port == {**one("Service", "nativelink-gateway")["spec"]["ports"][0], "appProtocol": "https"}


def test_the_setting_that_goes_with_them_names_files_that_serve_has(tmp_path: Path) -> None:
    text = (DEPLOYED / "scheduler" / "https" / "kustomization.yaml").read_text()
    (setting,) = (line.removeprefix("#   ") for line in text.splitlines() if "http_tls: {" in line)
    ours = (DEPLOYED / "scheduler" / "gateway.json5").read_text()
    (tmp_path / "gateway.json5").write_text(ours.replace("gateway: {", f"gateway: {{\n{setting}"))
    tls = load_config(tmp_path / "gateway.json5", environment={"STATE_DIRECTORY": str(tmp_path / "state")}).http_tls
    assert tls is not None
    spec = pod("nativelink-scheduler", *HTTPS)
    volume = secret(spec)
    (mount,) = (each for each in sidecars(*HTTPS)[-1]["volumeMounts"] if each["name"] == volume["name"])
    assert mount["readOnly"] is True
    assert (volume["secret"]["defaultMode"], spec["securityContext"]["fsGroup"]) == (0o440, 10001)
    assert {tls.cert_file, tls.key_file} == {Path(mount["mountPath"]) / name for name in ("tls.crt", "tls.key")}


def test_workers_are_drained_over_tls_and_get_no_key() -> None:
    (drains,) = pod("nativelink-worker", *HTTPS)["initContainers"]
    environment = {each["name"]: each.get("value") for each in drains["env"]}
    service = one("Service", "nativelink-gateway", *HTTPS)
    assert environment[URL_VARIABLE] == f"https://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    volume = secret(pod("nativelink-worker", *HTTPS))
    (mount,) = (each for each in drains["volumeMounts"] if each["name"] == volume["name"])
    assert mount["readOnly"] is True
    (item,) = volume["secret"]["items"]
    assert item["key"] == "ca.crt"
    assert environment["SSL_CERT_FILE"] == f"{mount['mountPath']}/{item['path']}"
    (nativelink,) = pod("nativelink-worker", *HTTPS)["containers"]
    assert volume["name"] not in {each["name"] for each in nativelink["volumeMounts"]}


async def test_a_gateway_with_tls_answers_these_probes_and_not_those_without(tmp_path: Path) -> None:
    identity = Authority(tmp_path).issue("server", "nativelink-gateway")
    files = {"cert_file": str(identity.cert_file), "key_file": str(identity.key_file)}
    ours = Settings(tmp_path, http_tls=files, authentication="required")
    async with command("run", "--config", str(ours.file)):
        for probe in (sidecars(*HTTPS)[-1][name] for name in _PROBES):
            await eventually(partial(answered, probe["httpGet"], ours.http))
        for probe in (sidecars()[-1][name] for name in _PROBES):
            assert not await answered(probe["httpGet"], ours.http)


async def answered(get: dict[str, Any], port: int) -> bool:
    """Whether what a probe asks gets 200, asked as Kubernetes asks: no certificate is checked."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        tls = unverified if get.get("scheme") == "HTTPS" else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(f"GET {get['path']} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        finally:
            writer.close()
    except OSError:
        return False
