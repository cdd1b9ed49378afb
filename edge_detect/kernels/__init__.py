"""Compiled loops over bare arrays: arrays in, caller-owned arrays out.

Importing this package is cheap; importing a module in it loads Numba but compiles nothing.
`warmup` compiles everything once and for all.
"""

from edge_detect.kernels.warm import warmup

__all__ = ["warmup"]
