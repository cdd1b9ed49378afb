"""Compiled loops over bare arrays: arrays in, caller-owned arrays out.

Importing this package is cheap; importing a module in it loads Numba but compiles nothing.
`warmup` compiles everything once and for all; `uncompiled` tells what that would be.
"""

from edge_detect.kernels.warm import uncompiled, warmup

__all__ = ["uncompiled", "warmup"]
