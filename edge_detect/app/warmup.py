"""`edge-detect warmup`: compile the kernels now, so that the service never has to."""

import argparse
import sys

from edge_detect.kernels import uncompiled
from edge_detect.kernels import warmup as compile_kernels

__all__ = ["warmup"]


def warmup(arguments: argparse.Namespace) -> int:
    """Compile every kernel that is not in the cache yet."""
    if not arguments.quiet and uncompiled():
        print("compiling the post-processing (a minute or more, once)", file=sys.stderr, flush=True)
    compiled = compile_kernels()
    if not arguments.quiet:
        for name, seconds in compiled:
            print(f"{name:<40}{seconds * 1000:>10.1f} ms")
    return 0
