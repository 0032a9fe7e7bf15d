"""`demo --record FILE`: a recording of the demo's load that nobody has to wait for. In: the options. Out: the file."""

from __future__ import annotations

import argparse
import gc
import sys

from gateway.errors import StartError
from gateway.simulation.demo import load_of
from gateway.simulation.quick.timelapse import TimeLapse

_BUFFER_BYTES = 1024 * 1024


def record_demo(options: argparse.Namespace) -> None:
    """Write it.

    Raises:
        StartError: the load has no end, or the file cannot be written.
    """
    file = options.record
    if options.operations == 0:
        raise StartError("--record: a recording has an end: --operations N, 1 or more")
    # Everything that is made here is kept: to look for garbage would take as long as the rest.
    gc.disable()
    try:
        with file.open("xb", buffering=_BUFFER_BYTES) as opened:
            lapse = TimeLapse(load_of(options), opened.write)
            lapse.play()
    except FileExistsError:
        raise StartError(f"--record {file}: a name that is free: it is there already") from None
    except OSError as error:
        raise StartError(f"--record {file}: {error.strerror}") from None
    finally:
        gc.enable()
    seconds = options.operations / options.rate
    sys.stdout.write(
        f"""\
{options.workers} workers, {options.operations} operations, {seconds:g} s: {lapse.records} records in {file}. Beside `serve`,

  nativelink-gateway observe --replay {file} --speed max

shows the moment of the last operation. Completed ones are listed for gateway.retention.completed_s,
gateway.retention.completed_max of them.
"""
    )
    sys.stdout.flush()
