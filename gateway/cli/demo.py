"""The demo: a simulated NativeLink in this process, the real gateway supervised in front of it, both until Ctrl-C.

In: the options of the command line. Out: addresses and what to try, on stdout, as soon as there is something to see.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import urllib.request
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import uvloop

from gateway.cli.process import run_until_stopped
from gateway.config.load import DEFAULT_HTTP, load_config
from gateway.simulation import at_size, demo
from gateway.supervisor import Supervisor
from gateway.tap.room import connections_that_fit

_ASK_AGAIN_S = 0.1
_ANSWER_S = 5.0
#: How long to wait for a worker whose id makes a better example than the documentation's.
_WORKER_S = 5.0
_ANY_HOSTS = {"127.0.0.1", "0.0.0.0"}  # noqa: S104 # compared with, never bound


def run_demo(options: argparse.Namespace) -> None:
    """Run until a signal.

    Raises:
        GatewayError: the HTTP address is wrong or in use.
    """
    # A short name: a unix socket's path, of which this is a part, may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as directory:
        load = demo.load_of(options)
        is_large = at_size.is_large(load)
        addresses = demo.free_addresses(has_cas=is_large)
        taps = at_size.taps_needed(load, connections_that_fit()) if is_large else 1
        kept = (options.operations or at_size.KEPT_OPERATIONS) if is_large else 0
        values = demo.configuration(*addresses, http=DEFAULT_HTTP, taps=taps, operations=kept)
        values["gateway"]["state_dir"] = directory
        file = Path(directory) / "gateway.json"
        file.write_text(json.dumps(values, indent=2), encoding="utf-8")
        config = load_config(file, http=options.http)
        host = "localhost" if config.http.host in _ANY_HOSTS else config.http.host
        base = f"http://{type(config.http)(host, config.http.port)}"

        async def work(stop: asyncio.Event) -> None:
            async with asyncio.TaskGroup() as group:
                telling = group.create_task(_tell(base, None if is_large else addresses, file), name="demo: tell")
                group.create_task(_until(Supervisor(config, options.log_level).run(stop), stop), name="demo: gateway")
                simulated = demo.run_simulation(*addresses, options=options, stop=stop)
                group.create_task(_until(simulated, stop), name="demo: simulation")
                await stop.wait()
                telling.cancel()

        loop_factory = uvloop.new_event_loop if is_large else None
        run_until_stopped(work, stop_timeout_s=config.stop_timeout_s, loop_factory=loop_factory)


async def _until(work: Awaitable[object], stop: asyncio.Event) -> None:
    """Where one part ends, everything ends."""
    await work
    stop.set()


async def _tell(base: str, addresses: demo.Addresses | None, file: Path) -> None:
    """`addresses`: where others may join; None: nowhere."""
    workers = await _workers(base)
    joining = (
        ""
        if addresses is None
        else f"""\
Clients and workers of your own may join: --remote_executor=grpc://{addresses.execution_via}
--remote_cache=grpc://{addresses.execution_listen}, worker_api_endpoint.uri grpc://{addresses.workers_via}.
"""
    )
    sys.stdout.write(
        f"""
The NativeLink Monitoring API answers on {base} for a simulated build farm. Try:

  curl {base}/api/v1/workers
  curl "{base}/api/v1/operations?worker_id={workers[0]["id"] if workers else "worker-123"}"
  curl {base}/api/v1/scheduler/status
  curl "{base}/api/v1/operations?stage=queued"

{joining}The gateway's configuration: {file}. Ctrl-C ends everything.

"""
    )
    sys.stdout.flush()


async def _workers(base: str) -> list[dict[str, Any]]:
    """The first workers that the gateway shows; none where it shows none for a while."""
    loop = asyncio.get_running_loop()
    patience = None
    while True:
        found = await asyncio.to_thread(_get, f"{base}/api/v1/workers")
        if found is not None and patience is None:
            patience = loop.time() + _WORKER_S
        if found or (patience is not None and loop.time() > patience):
            return found or []
        await asyncio.sleep(_ASK_AGAIN_S)


def _get(url: str) -> list[dict[str, Any]] | None:
    """The answer; None while there is none."""
    # A proxy that the environment names would not find this machine's loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ANSWER_S) as answer:
            found: list[dict[str, Any]] = json.load(answer)
            return found
    except OSError:
        return None
