from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from gateway.config.load import load_config
from gateway.config.types import Address
from gateway.simulation.demo import Addresses, Demo, add_arguments, configuration, free_addresses, run_simulation
from gateway.simulation.load import Load
from gateway.simulation.relay import Relay
from tests.simulation.bench import eventually


def _options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_options_have_defaults_that_are_lively() -> None:
    assert vars(_options()) == {"workers": 12, "operations": 0, "rate": 8.0, "seed": 1, "record": None}
    given = vars(_options("--workers", "3", "--operations", "4", "--rate", "5", "--seed", "6"))
    assert given == {"workers": 3, "operations": 4, "rate": 5.0, "seed": 6, "record": None}


@pytest.mark.parametrize("arguments", [("--workers", "-1"), ("--rate", "0"), ("--rate", "inf"), ("--rate", "nan"), ("--seed", "x")])
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _options(*arguments)
    assert arguments[0] in capsys.readouterr().err


def test_the_configuration_puts_taps_between_the_two_sides() -> None:
    at = Addresses(*(Address("127.0.0.1", port) for port in (1, 2, 3, 4)))
    value = configuration(*at, http=Address("127.0.0.1", 5))
    taps = [(tap["listen"], tap["upstream"], tap["carries"]) for tap in value["gateway"]["taps"]]
    assert taps == [
        ("127.0.0.1:3", "127.0.0.1:1", ["execution"]),
        ("127.0.0.1:4", "127.0.0.1:2", ["worker_api", "admin"]),
    ]
    assert value["gateway"]["cas"] == {"endpoint": "127.0.0.1:1"}
    assert value["servers"][0]["listener"]["http"]["socket_address"] == "127.0.0.1:5"
    assert value["gateway"]["scheduler"]["supported_platform_properties"]["cpu_count"] == "minimum"


def test_the_gateway_accepts_the_configuration(tmp_path: Path) -> None:
    at = free_addresses()
    value = configuration(*at, http=Address("127.0.0.1", 50062))
    value["gateway"]["state_dir"] = str(tmp_path / "state")
    file = tmp_path / "gateway.json"
    file.write_text(json.dumps(value))
    config = load_config(file)
    assert [(tap.listen, tap.upstream) for tap in config.taps] == [
        (at.execution_via, at.execution_listen),
        (at.workers_via, at.worker_listen),
    ]
    assert config.cas is not None
    assert config.cas.endpoint == at.execution_listen


def test_free_addresses_are_four_different_ones_or_five() -> None:
    assert len({str(address) for address in free_addresses()[:4]}) == 4
    assert free_addresses().cas is None
    assert len({str(address) for address in free_addresses(has_cas=True)}) == 5


async def test_everything_is_there_soon_and_comes_by_the_taps() -> None:
    at = free_addresses()
    demo = Demo(Load(workers=5, operations=0, rate=100, seed=1), at)
    taps = [Relay(str(at.execution_listen)), Relay(str(at.worker_listen))]
    async with demo.running():
        assert demo.simulation.truth() == {"workers": [], "operations": []}
        for tap, via in zip(taps, (at.execution_via, at.workers_via), strict=True):
            await tap.listen(via.host, via.port)

        def stages() -> set[str]:
            return {row["stage"] for row in demo.simulation.truth()["operations"]}

        await eventually(lambda: len(demo.simulation.truth()["workers"]) == 6)
        await eventually(lambda: stages() == {"Queued", "Executing", "Completed"})
        pools = [row["platform_properties"].get("pool") for row in demo.simulation.truth()["operations"]]
        assert "gpu-h100" in pools
    for tap in taps:
        await tap.close()


async def test_it_ends_when_it_is_told_to_even_if_the_taps_never_came() -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(run_simulation(*free_addresses(), options=_options(), stop=stop))
    await asyncio.sleep(0.05)
    stop.set()
    report = await task
    assert report.submitted == 0
