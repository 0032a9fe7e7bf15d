"""The command line: arguments come in, an exit code goes out. See `nativelink-gateway --help`.

0: stopped as told; 1: the machine does not give what is asked for; 2: mistakes in arguments or configuration; 70: a defect of ours.
"""

from gateway.cli.entry import main

__all__ = ["main"]
