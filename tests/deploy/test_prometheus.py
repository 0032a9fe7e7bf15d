"""Rules and dashboard: by promtool, and against a real Prometheus that scrapes the demo.

Both are Debian's package prometheus. Where it is not installed these tests are skipped; in CI they fail.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.serve.metrics.families import FAMILIES, Kind
from tests.command import PATIENCE_S, free_ports
from tests.deploy.programs import program

ROOT = Path(__file__).parents[2]
DEPLOYED = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for file in sorted(DEPLOYED.glob("*.rules.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDS = [rule["record"] for rule in RULES if "record" in rule]
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "nativelink.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(f"{panel['title']} {target['refId']}", target["expr"]) for panel in PANELS for target in panel["targets"]]
#: A name, perhaps recorded, and what it is narrowed to.
SELECTOR = re.compile(r"\b((?:instance:)?nativelink_\w+(?::\w+)?|up)\b(\{[^}]*\})?")
#: Every name that a query may use: what is exported, and what rules record.
KNOWN = (
    {each.name for each in FAMILIES if each.kind is not Kind.HISTOGRAM}
    | {f"{each.name}_{part}" for each in FAMILIES if each.kind is Kind.HISTOGRAM for part in ("bucket", "count", "sum")}
    | {*RECORDS, "up"}
)
#: Scrapes of a second each, so that rates over some of them are there.
_SCRAPES = 6
_WINDOW = "10s"
#: A scrape that begins takes a second at most, and what it brings is of when it began.
_SETTLED_S = 3


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool", "prometheus"), *arguments], capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def configured(directory: Path, token: str, **other: str) -> Path:
    """The configuration that is deployed, with a token and whatever else is another here."""
    shutil.copytree(DEPLOYED, directory / "etc")
    (directory / "token").write_text(token)
    file = directory / "etc" / "prometheus.yml"
    text = file.read_text()
    for before, after in {"/credentials/token": str(directory / "token"), **other}.items():
        assert before in text
        text = text.replace(before, after)
    file.write_text(text)
    return file


def test_promtool_finds_nothing_wrong_with_configuration_and_rules(tmp_path: Path) -> None:
    promtool("check", "config", str(configured(tmp_path, "a token")))


def test_alerts_fire_when_they_should_and_are_quiet_otherwise() -> None:
    promtool("test", "rules", "tests/deploy/alerts.test.yml")


def test_every_alert_and_every_record_has_its_test() -> None:
    tested = (Path(__file__).parent / "alerts.test.yml").read_text()
    assert [name for name in [*RECORDS, *(each["alert"] for each in ALERTS)] if name not in tested] == [
        "instance:nativelink_gateway_tap_forwarding_delay_seconds:p99_rate5m"  # through NativeLinkTapSlow
    ]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert not alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("expression", [*(rule["expr"] for rule in RULES), *(query for _, query in QUERIES)])
def test_rules_and_panels_name_metrics_that_there_are(expression: str) -> None:
    names = {name for name, _ in SELECTOR.findall(expression)}
    assert names
    assert names <= KNOWN


def test_every_panel_has_its_place_and_a_sentence() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
    assert all(panel["description"].endswith(".") for panel in PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


class Prometheus:
    """One that runs, and the demo that it scrapes."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}/api/v1"
        self._moment: float | None = None

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        query = urllib.parse.urlencode(parameters)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self._base}/{path}?{query}", timeout=PATIENCE_S) as answer:
            body = json.load(answer)
        assert body["status"] == "success"
        return body["data"]

    def query(self, expression: str) -> list[float]:
        """The values of an instant query: as of when everything was there, or of now before that.

        A scrape may take longer than its second on a busy machine, and until the next one there is nothing of now.
        """
        as_of = {} if self._moment is None else {"time": str(self._moment)}
        return [float(each["value"][1]) for each in self.get("query", query=expression, **as_of)["result"]]

    def has_scraped(self) -> bool:
        """Often enough, operations have completed since and rules were evaluated: from then on queries are as of that moment."""
        moment = time.time() - _SETTLED_S
        holds = [
            f"sum_over_time(up[1m]) >= {_SCRAPES}",
            "up == 1",
            f"sum(increase(nativelink_execution_duration_seconds_count[{_WINDOW}])) > 0",
            f'count(count by (__name__) ({{__name__=~"instance:.+"}})) == {len(RECORDS)}',
        ]
        there = all(self.get("query", query=each, time=str(moment))["result"] for each in holds)
        self._moment = moment if there else None
        return there


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Started as compose starts it, but for addresses and intervals, and a demo in front of it that wants to know who asks."""
    server, directory = program("prometheus", "prometheus"), tmp_path_factory.mktemp("prometheus")
    http, listen = free_ports(2)
    ours = [sys.executable, "-P", "-m", "gateway.cli"]
    with ExitStack() as stack:
        log = stack.enter_context((directory / "log").open("w+b"))
        # The demo's state_dir is in there; paths of unix sockets are short.
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        demo = [*ours, "demo", "--http", f"127.0.0.1:{http}", "--rate", "20"]
        stack.callback(_ended, subprocess.Popen(demo, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(temporary)}))  # noqa: S603
        _until(lambda: any(temporary.glob("*/running.json")), (directory / "log").read_text)
        (running,) = temporary.glob("*/running.json")
        new = [*ours, "token", "new", "--role=reader", "--name=prometheus", f"--tokens-file={running.with_name('tokens.json')}"]
        token = subprocess.check_output(new, text=True)  # noqa: S603
        file = configured(directory, token, **{"gateway:50062": f"127.0.0.1:{http}", "15s": "1s"})
        scraper = [
            server,
            f"--config.file={file}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{listen}",
            "--log.level=warn",
        ]
        stack.callback(_ended, subprocess.Popen(scraper, stdout=log, stderr=log))  # noqa: S603
        scraping = Prometheus(listen)
        _until(scraping.has_scraped, (directory / "log").read_text)
        yield scraping


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until(holds: Callable[[], bool], told: Callable[[], str]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except OSError:
            pass  # not there yet
        time.sleep(0.2)
    pytest.fail(f"it does not come about:\n{told()[-5_000:]}")


def test_prometheus_takes_the_gateways_metrics_as_openmetrics_without_complaint(prometheus: Prometheus) -> None:
    def target() -> tuple[str, str]:
        (each,) = prometheus.get("targets")["activeTargets"]
        return each["health"], each["lastError"]

    # On a busy machine a scrape may take more than the second that it has here: the next one takes that back.
    _until(lambda: target() == ("up", ""), lambda: f"{target()}")
    told = {name: (each[0]["type"], each[0]["help"]) for name, each in prometheus.get("metadata").items()}
    # OpenMetrics names a counter without its ending.
    assert told == {each.name.removesuffix("_total"): (each.kind.value, each.help) for each in FAMILIES}


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_series_that_a_rule_names_is_there(prometheus: Prometheus, rule: dict[str, Any]) -> None:
    missing = [name + narrowed for name, narrowed in SELECTOR.findall(rule["expr"]) if not prometheus.query(name + narrowed)]
    assert missing == []


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_a_value(prometheus: Prometheus, record: str) -> None:
    assert prometheus.query(record)


def test_a_farm_that_works_raises_no_alarm(prometheus: Prometheus) -> None:
    def alarms() -> list[dict[str, str]]:
        alerts = prometheus.get("alerts")["alerts"]
        return [each["labels"] for each in alerts if each["labels"]["severity"] == "critical" or each["state"] == "firing"]

    # On a busy machine a scrape may take more than its second here, or show what is old: the next one takes that back.
    _until(lambda: alarms() == [], lambda: f"{alarms()}")


@pytest.mark.parametrize("query", [query for _, query in QUERIES], ids=[name for name, _ in QUERIES])
def test_every_panel_of_the_dashboard_has_data(prometheus: Prometheus, query: str) -> None:
    instant = query.replace("$instance", ".*").replace("$__rate_interval", _WINDOW)
    assert "$" not in instant
    values = prometheus.query(instant)
    assert values
    # Of some histograms, such as those of routes that nobody asked for, a quantile is no number.
    assert any(value == value for value in values)  # noqa: PLR0124 # NaN is not equal to itself


def test_the_dashboards_variable_finds_the_gateway(prometheus: Prometheus) -> None:
    (variable,) = (each for each in DASHBOARD["templating"]["list"] if each["type"] == "query")
    assert variable["definition"] == "label_values(nativelink_gateway_build_info, instance)"
    found = prometheus.get("label/instance/values", **{"match[]": "nativelink_gateway_build_info"})
    assert len(found) == 1
