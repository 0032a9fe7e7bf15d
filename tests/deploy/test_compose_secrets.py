"""What docker-compose.yml lets its containers do and see, and in what order they come and go; its schema is the engine's own.

The steps that make secrets run here as they are, but for the folders they know.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.trust import Role
from gateway.config.types import Authentication, Config
from gateway.serve.authentication.token_file import read_tokens
from gateway.serve.authentication.tokens import Check, split
from tests.deploy.test_compose import COMPOSE, NATIVELINK, ROOT, SERVICES, config, mounted, published

__all__ = ["config"]  # a fixture
#: Of the image's user.
_GROUP = "10001"


def depends_on(service: str) -> dict[str, str]:
    """Service -> what is waited for."""
    found = SERVICES[service].get("depends_on", {})
    return dict.fromkeys(found, "service_started") if isinstance(found, list) else {k: v["condition"] for k, v in found.items()}


def made(step: str, directory: Path, name: str) -> str:
    """What a step has made in its folder, which is checked to be for its readers' group only."""
    (script,) = SERVICES[step]["command"]
    credentials = directory / "credentials"
    credentials.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "STATE_DIRECTORY": str(directory / "state"), "HOME": str(directory)}
    command = [*SERVICES[step]["entrypoint"], script.replace("/credentials", str(credentials))]
    subprocess.run(command, env=environment, check=True)  # noqa: S603
    assert [each.name for each in credentials.iterdir()] == [name]
    assert stat.S_IMODE((credentials / name).stat().st_mode) == 0o640
    return (credentials / name).read_text().removesuffix("\n")


def test_the_schema_of_compose_files_takes_it() -> None:
    check = [sys.executable, "-P", "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_may_do_more_than_it_needs(service: str) -> None:
    container = SERVICES[service]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "pid", "ipc", "user"} & set(container)
    assert container.get("network_mode") in {None, "none"}
    assert not any("docker.sock" in volume for volume in container.get("volumes", ()))


def test_everybody_needs_a_credential_and_every_port_is_on_loopback(config: Config) -> None:
    assert config.authentication is Authentication.REQUIRED
    assert all(each.startswith("127.0.0.1:") for service in SERVICES for each in published(service).values())
    grafana = SERVICES["grafana"]["environment"]
    assert (grafana["GF_AUTH_ANONYMOUS_ENABLED"], grafana["GF_USERS_ALLOW_SIGN_UP"]) == ("false", "false")


def test_no_secret_is_in_an_environment_or_in_the_tree() -> None:
    names = [name for each in SERVICES.values() for name in each.get("environment", {})]
    assert [name for name in names if re.search("PASSWORD|TOKEN|SECRET|KEY", name)] == ["GF_SECURITY_ADMIN_PASSWORD__FILE"]
    assert not re.search("nlg_[0-9a-f]{8}_", (ROOT / "docker-compose.yml").read_text())


def test_the_token_of_prometheus_is_made_once_may_read_and_is_where_prometheus_looks(tmp_path: Path) -> None:
    token = made("prometheus-token", tmp_path, "token")
    assert made("prometheus-token", tmp_path, "token") == token
    (kept,) = read_tokens(tmp_path / "state" / "tokens.json")
    assert (kept.name, kept.role) == ("prometheus", Role.READER)
    parts = split(token)
    assert parts is not None
    assert (parts[0], Check(kept).holds(parts[1])) == (kept.id, True)
    scraping = yaml.safe_load((mounted("prometheus", "/etc/prometheus") / "prometheus.yml").read_text())
    (job,) = scraping["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/credentials/token"}
    assert_hands_over("prometheus-token", "prometheus")
    # The tokens that the gateway knows are those that the step writes.
    gateway = {volume for volume in SERVICES["gateway"]["volumes"] if volume.startswith("gateway:")}
    assert gateway < set(SERVICES["prometheus-token"]["volumes"])


def test_the_password_of_grafana_is_made_once_and_is_where_grafana_looks(tmp_path: Path) -> None:
    password = made("grafana-password", tmp_path, "password")
    assert len(password) >= 32
    assert made("grafana-password", tmp_path, "password") == password
    looks = Path(SERVICES["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"])
    assert (str(looks.parent), looks.name) == ("/credentials", "password")
    assert_hands_over("grafana-password", "grafana")


def assert_hands_over(step: str, reader: str) -> None:
    """One writes, one reads, and nobody else sees it."""
    users = {name: volume for name, each in SERVICES.items() for volume in each.get("volumes", ()) if volume.startswith(f"{step}:")}
    assert users == {step: f"{step}:/credentials", reader: f"{step}:/credentials:ro"}
    assert depends_on(reader)[step] == "service_completed_successfully"
    assert SERVICES[reader]["group_add"] == [_GROUP]
    assert f"groupadd --gid {_GROUP} gateway" in (ROOT / "Dockerfile").read_text()
    assert SERVICES[step]["restart"] == "no"


def test_the_tap_is_up_before_the_scheduler_and_down_after_it() -> None:
    assert depends_on("scheduler")["gateway"] == "service_healthy"
    # Nothing of NativeLink is up before: compose stops in the opposite order.
    assert not set(depends_on("gateway")) & set(NATIVELINK)
    for worker in ("worker-1", "worker-2"):
        assert "scheduler" in depends_on(worker)


def test_what_actions_run_reaches_neither_prometheus_nor_grafana() -> None:
    networks = {name: set(each.get("networks", ())) for name, each in SERVICES.items()}
    assert {name for name, each in networks.items() if "nativelink" in each} == {*NATIVELINK, "gateway"}
    assert {name for name, each in networks.items() if "monitoring" in each} == {"gateway", "prometheus", "grafana"}
    found: dict[str, Any] = COMPOSE["networks"]
    assert set(found) == {"nativelink", "monitoring"}
