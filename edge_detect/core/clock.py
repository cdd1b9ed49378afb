"""The one clock of the pipeline: CLOCK_MONOTONIC, in nanoseconds."""

from time import monotonic_ns

__all__ = ["NS_PER_MS", "NS_PER_S", "monotonic_ns"]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
