"""The simulated NativeLink where the recordings have their player, its own state as a checkpoint."""

from __future__ import annotations

from gateway.simulation import Simulation, Truth
from tests.e2e.player import Upstream
from tests.e2e.recordings import Checkpoint


class _Simulated(Upstream):
    """A listener that the simulation keeps."""

    def __init__(self, address: str) -> None:
        self.port = int(address.rpartition(":")[2])


def upstreams(simulation: Simulation) -> dict[str, Upstream]:
    """Where the taps' listeners forward to."""
    return {"execution": _Simulated(simulation.execution_address), "workers": _Simulated(simulation.worker_address)}


def checkpoint(state: Truth) -> Checkpoint:
    """The state of this moment."""
    return Checkpoint(0, 0, tuple(map(dict, state["workers"])), tuple(map(dict, state["operations"])))
