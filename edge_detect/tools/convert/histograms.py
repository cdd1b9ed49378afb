"""Histograms of activations, channel by channel, with bins that grow with the values.

A value falls into the bin of its sign and of the logarithm of its size. Multiplying a channel
by a power of `STEP` then moves its histogram by whole bins, so that what other factors would
give is read off without running the network once more.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "STEP", "ChannelHistogram", "bin_values", "moved"]

_PER_OCTAVE = 8
_LEAST_OCTAVE, _OCTAVES = -14, 36
_SIDE = _PER_OCTAVE * _OCTAVES
BINS = 2 * _SIDE + 1
STEP = 2.0 ** (1 / _PER_OCTAVE)


def bin_values() -> NDArray[np.float64]:
    """What the values in each bin are, about: (BINS,), ascending, zero in the middle."""
    sizes = 2.0 ** (_LEAST_OCTAVE + (np.arange(_SIDE) + 0.5) / _PER_OCTAVE)
    return np.concatenate([-sizes[::-1], [0.0], sizes])


class ChannelHistogram:
    """How often each channel of one activation took which values.

    Args:
        channels: Of the activation.

    Attributes:
        shares: (channels, BINS) float64; how many values fell into each bin.
        low: (channels,) the least value; infinite before there is one.
        high: (channels,) the greatest.
    """

    def __init__(self, channels: int) -> None:
        self.shares = np.zeros((channels, BINS))
        self.low = np.full(channels, np.inf)
        self.high = np.full(channels, -np.inf)
        self._sums = np.zeros(channels)
        self._rows = 0

    def add(self, rows: NDArray[np.float32], *, weight: float = 1.0) -> None:
        """Count values.

        Args:
            rows: (positions, channels).
            weight: Of each.
        """
        channels = rows.shape[1]
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))
        with np.errstate(divide="ignore"):
            octaves = np.log2(np.abs(rows)) - _LEAST_OCTAVE
        size = np.clip(np.floor(octaves * _PER_OCTAVE), -1, _SIDE - 1).astype(np.int64) + 1
        places = _SIDE + np.where(rows < 0, -size, size) + BINS * np.arange(channels)
        counts = np.bincount(places.reshape(-1), minlength=channels * BINS)
        self.shares += weight * counts.reshape(channels, BINS)

    def average(self, rows: NDArray[np.float32]) -> None:
        """Count values in the mean alone, which is exact.

        Args:
            rows: (positions, channels).
        """
        self._sums += rows.sum(axis=0, dtype=np.float64)
        self._rows += len(rows)

    def mean(self, factors: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
        """The mean of each channel, multiplied by a factor and then clipped: (channels,).

        Args:
            factors: (channels,).
            low: Least value that is left.
            high: Greatest.
        """
        values = np.clip(bin_values(), self.low[:, None], self.high[:, None]) * factors[:, None]
        beyond = np.maximum(values - high, 0) + np.minimum(values - low, 0)
        means = factors * self._sums / max(1, self._rows)
        return np.asarray(means - (self.normalized() * beyond).sum(axis=1))

    def mirror(self, chosen: NDArray[np.bool_]) -> None:
        """Change the sign of some channels."""
        self.shares[chosen] = self.shares[chosen, ::-1]
        self.low[chosen], self.high[chosen] = -self.high[chosen], -self.low[chosen]
        self._sums[chosen] *= -1

    def take(self, other: "ChannelHistogram", chosen: NDArray[np.bool_]) -> None:
        """Replace some channels by those of another activation of the same size."""
        for name in ("shares", "low", "high", "_sums"):
            getattr(self, name)[chosen] = getattr(other, name)[chosen]

    def normalized(self) -> NDArray[np.float64]:
        """(channels, BINS), each channel's sum 1."""
        return np.asarray(self.shares / np.maximum(self.shares.sum(axis=1, keepdims=True), 1e-12))


def moved(shares: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """What a histogram becomes when its values are multiplied by `STEP` to the power of `bins`.

    Args:
        shares: (BINS,).
        bins: At least 0.
    """
    if bins == 0:
        return shares.copy()
    out = np.zeros_like(shares)
    out[: _SIDE - bins] = shares[bins:_SIDE]
    out[0] += shares[:bins].sum()
    out[_SIDE] = shares[_SIDE]
    out[_SIDE + 1 + bins :] = shares[_SIDE + 1 : BINS - bins]
    out[-1] += shares[BINS - bins :].sum()
    return out
