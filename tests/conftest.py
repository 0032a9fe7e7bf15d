"""What holds for every test, and the options of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped] # it has none

# Before anything imports grpc: observe forks, also where it runs within a test (see gateway.cli.roles).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

# How long something takes is the machine's; the rest is as it is: with CI in the environment, the same examples each time.
settings.register_profile("any-machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")

#: Modules and packages whose tests share a fixture that takes seconds.
_TOGETHER = (
    "tests/deploy/test_prometheus.py",
    "tests/e2e/faults/",
    "tests/e2e/test_recorded.py",
    "tests/e2e/test_scenarios.py",
    "tests/simulation/test_scenarios.py",
)


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """What a command sets in this process is not the next test's."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long-budget",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long each test marked `long` goes on, as far as it can choose (default: %(default)s)",
    )


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Each test goes to the process that is free, but for those that share what takes long to make.

    The groups of pytest-xdist would say that at the tests themselves; with pytest 9.2 they have no effect.
    """

    class Scheduler(LoadScopeScheduling):  # type: ignore[misc] # it is Any to mypy
        def _split_scope(self, nodeid: str) -> str:
            return next((place for place in _TOGETHER if nodeid.startswith(place)), nodeid)

    return Scheduler(config, log)


@pytest.fixture
def long_budget_s(request: pytest.FixtureRequest) -> float:
    """Seconds that a long test may go on."""
    budget: float = request.config.getoption("--long-budget")
    return budget
