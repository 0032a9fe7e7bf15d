"""Schemathesis asks the process that serves everything that the document allows, and much that it does not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.config.trust import Role
from gateway.config.types import Authentication, Config
from gateway.pb import introspection_pb2 as pb
from gateway.serve.description.table import EVENTS, OPENAPI
from tests.serve.authentication.showing import new_token
from tests.serve.builders import NOW, busy_operation, documented_drain, documented_operation, documented_worker, properties
from tests.serve.implementer import Implementer
from tests.serve.running import Client, serving
from tests.serve.test_routes import fill

HOOKS = Path(__file__).with_name("hooks.py")
ROOT = Path(__file__).parents[3]
#: All that are about an API without writing, but "valid data is accepted": a parameter may need another,
#: and a token is valid only if it came from the server.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


def detailed_worker() -> pb.Worker:
    made = documented_worker()
    story = [pb.StoryLine(at=Timestamp(seconds=NOW), text="connected")]
    made.detail.MergeFrom(pb.WorkerDetail(max_inflight_tasks=0, remaining_properties=properties(cpu_count="1"), story=story))
    return made


def detailed_operation() -> pb.Operation:
    made = documented_operation()
    made.tool_invocation_ids.append("6a1f0c52")
    made.detail.MergeFrom(
        pb.OperationDetail(
            clients=[pb.Client(client_operation_id="c", followers=2, request_metadata=pb.RequestMetadata(tool_name="bazel"))],
            join=pb.OperationDetail.PROVEN,
            attempts=3,
            anomalies=[pb.Anomaly(at=Timestamp(seconds=NOW), kind="late_result", entity="op", text="late")],
        )
    )
    return made


@pytest.fixture
def token(config: Config) -> str:
    return new_token(config, Role.OPERATOR)


@pytest.fixture
async def client(config: Config, token: str, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    implementer.drains["0c6b2f9d41aa"] = documented_drain()
    implementer.set([detailed_worker()], [detailed_operation(), *map(busy_operation, range(100, 130))])
    await implementer.start()

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)
            implementer.tick()

    async with serving(replace(config, authentication=Authentication.REQUIRED)) as client:
        ticking = asyncio.create_task(tick(), name="tick")
        try:
            yield client
        finally:
            ticking.cancel()


async def run(client: Client, token: str, directory: Path, *arguments: str) -> None:
    """Fails with what Schemathesis says, which has a curl line for each failure."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{client.port}{OPENAPI.path}"),
        # A stream without an end; what it can be asked is in test_table.py and tests/serve/events.
        *("--exclude-path", EVENTS.path, "--checks", ",".join(CHECKS), "--warnings", "off", "--request-timeout", "30"),
        *(
            "--header",
            f"Authorization: Bearer {token}",
            "--generation-database",
            "none",
            "--no-color",
            "--output-sanitize",
            "false",
        ),
        *arguments,
        cwd=directory,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await program.communicate()
    text = said.decode(errors="replace")
    assert program.returncode == 0, text
    assert "No issues found" in text, text


async def test_what_the_document_says_holds(client: Client, token: str, tmp_path: Path) -> None:
    await run(client, token, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "5", "--seed", "1")


@pytest.mark.long
@pytest.mark.timeout(0)
async def test_what_the_document_says_holds_for_long(client: Client, token: str, tmp_path: Path, long_budget_s: float) -> None:
    await run(client, token, tmp_path, "--phases", "fuzzing", "--max-time", str(max(1, int(long_budget_s))))
