"""A simulated NativeLink, its workers and clients over real gRPC: for the demo, tests and benchmarks.

In: settings and scripts. Out: real sockets that speak NativeLink's protocols. `Simulation` is the way in.
"""

from gateway.simulation.clients import Execution, Invocation, Job, SimulatedClient, Stage
from gateway.simulation.nativelink import Simulation
from gateway.simulation.playbook import Run
from gateway.simulation.settings import Settings
from gateway.simulation.truth import Truth
from gateway.simulation.workers import LINUX, SimulatedWorker, WorkerSpec

__all__ = [
    "LINUX",
    "Execution",
    "Invocation",
    "Job",
    "Run",
    "Settings",
    "SimulatedClient",
    "SimulatedWorker",
    "Simulation",
    "Stage",
    "Truth",
    "WorkerSpec",
]
