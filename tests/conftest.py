"""What holds for every test, and the options of the whole suite."""

from __future__ import annotations

import os

import pytest

# Before anything imports grpc: observe forks, also where it runs within a test (see gateway.cli.roles).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long-budget",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long each test marked `long` goes on, as far as it can choose (default: %(default)s)",
    )


@pytest.fixture
def long_budget_s(request: pytest.FixtureRequest) -> float:
    """Seconds that a long test may go on."""
    budget: float = request.config.getoption("--long-budget")
    return budget
