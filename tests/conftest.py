"""What holds for every test."""

from __future__ import annotations

import os

# Before anything imports grpc: observe forks, also where it runs within a test (see gateway.cli.roles).
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
