"""Between which real values each activation of a network is to be quantized.

Minimum and maximum are bad answers: one outlier in a thousand pictures costs every other
value its resolution. Here a range is the one that loses least, rounding and clipping counted
together, each channel by what errors in it do to the outputs.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.groups import Group, Links, Window, describe_groups
from edge_detect.tools.convert.histograms import (
    BINS,
    STEP,
    ChannelHistogram,
    bin_values,
    moved,
)
from edge_detect.tools.convert.importance import leaky_slopes

__all__ = ["RangePlanner", "Window", "best_range", "best_window"]

_Reals = NDArray[np.float64]
# By tensor, the factor of each channel as a power of `STEP`.
_Powers = Mapping[int, NDArray[np.int64]]

# What a channel did not do on a few pictures is not impossible: each is taken to have values
# of twice the size, and those of the other channels, in these parts.
_LARGER, _OTHER = 0.01, 1e-4
_DOUBLE = 8
# Narrower ranges are those of zeros, which any range holds.
_EMPTY, _ANY = 1e-6, 1e-3


def best_window(shares: _Reals, rounding: float, *, negative: float, clip_weight: float) -> Window:
    """The range of 256 steps that loses least of the values of a histogram.

    Args:
        shares: (BINS,), weights of the values.
        rounding: What squared rounding errors count for.
        negative: What squared errors below zero count for: less than 1 where the next
            operator makes negative values smaller.
        clip_weight: What the loss by clipping counts for, against that by rounding: large
            values are rare and are what the network has found.

    Returns:
        Least and greatest value, with zero between them.
    """
    values = bin_values()
    middle = BINS // 2
    sizes = np.concatenate([[0.0], values[middle + 1 :]])
    edges = np.concatenate([[0.0], values[middle + 1 :] * STEP**0.5])
    below = clip_weight * negative * _clipped(shares[middle::-1], sizes, edges)
    above = clip_weight * _clipped(shares[middle:], sizes, edges)
    spans = edges[:, None] + edges[None, :]
    loss = rounding * (spans / 255) ** 2 / 12 + below[:, None] + above[None, :]
    loss[0, 0] = np.inf
    row, column = np.unravel_index(int(np.argmin(loss)), loss.shape)
    return -float(edges[row]), float(edges[column])


def best_range(values: NDArray[np.float32], *, clip_weight: float = 1.0) -> Window:
    """As `best_window`, for values that all count the same.

    Args:
        values: Any number of them.
        clip_weight: See `best_window`.
    """
    histogram = ChannelHistogram(1)
    histogram.add(values.reshape(-1, 1))
    low, high = best_window(histogram.normalized()[0], 1.0, negative=1.0, clip_weight=clip_weight)
    low, high = max(low, float(values.min())), min(high, float(values.max()))
    return _with_room(min(low, 0.0), max(high, 0.0))


def _with_room(low: float, high: float) -> Window:
    return (low, high) if high - low > _EMPTY else (low, low + _ANY)


def _clipped(shares: _Reals, sizes: _Reals, edges: _Reals) -> _Reals:
    """Squared loss of clipping at each edge, of values of ascending size."""

    def beyond(weights: _Reals) -> _Reals:
        # What lies in the bins above the edge of each.
        return np.asarray(np.append(np.cumsum(weights[:0:-1])[::-1], 0.0))

    zeroth, first, second = (beyond(shares * sizes**power) for power in (0, 1, 2))
    return np.maximum(second - 2 * edges * first + edges**2 * zeroth, 0.0)


class RangePlanner:
    """Chooses ranges for one network.

    Args:
        graph: A simplified float network.
        histograms: Of its activations.
        importance: Of their channels; see `channel_importance`.
        fixed: Ranges that do not follow from the values, by tensor.

    Attributes:
        groups: Of activations that share a scale.
    """

    def __init__(
        self,
        graph: Graph,
        histograms: Mapping[int, ChannelHistogram],
        importance: Mapping[int, _Reals],
        fixed: Mapping[int, Window],
    ) -> None:
        self._importance = dict(importance)
        for one in graph.operators:
            if graph.kind(one) != "LEAKY_RELU":
                continue
            source, result = int(one.inputs[0]), int(one.outputs[0])
            if source in histograms:
                # The step of the result is that of the input: errors below zero count in full.
                hidden = 1 - leaky_slopes(histograms[source], float(one.builtinOptions.alpha))
                self._importance[source] = self._importance[source] + hidden * importance[result]
        self._extremes = {index: (one.low, one.high) for index, one in histograms.items()}
        self._shares = {}
        for index, histogram in histograms.items():
            shares = histogram.normalized()
            larger = np.apply_along_axis(moved, 1, shares, _DOUBLE)
            own = (1 - _LARGER) * shares + _LARGER * larger
            self._shares[index] = (1 - _OTHER) * own + _OTHER * shares.mean(axis=0)
        self.groups = describe_groups(graph, Links(graph), fixed)

    def ranges(self, powers: _Powers, clip_weight: float) -> dict[int, Window]:
        """The range of every activation.

        Args:
            powers: By tensor, the factor of each channel as a power of `STEP`.
            clip_weight: See `best_window`.
        """
        windows = self.windows(powers, clip_weight)
        return {
            index: window
            for group, window in zip(self.groups, windows, strict=True)
            for index in group.members
        }

    def windows(self, powers: _Powers, clip_weight: float) -> list[Window]:
        """The range of every group; see `ranges`."""
        windows = [self._window(group, powers, clip_weight) for group in self.groups]
        for number, group in enumerate(self.groups):
            if group.leaky and group.fixed is None:
                _share_step(windows, number, group.leaky)
        return windows

    def losses(
        self, index: int, group: Group, window: Window, clip_weight: float, limit: int
    ) -> _Reals:
        """What each channel of a tensor loses in a range, by the factor before quantization.

        Returns:
            (channels, limit + 1), for the factors 1, STEP, …, STEP ** limit.
        """
        values, factors = bin_values(), STEP ** np.arange(limit + 1)
        low, high = window
        over = np.maximum(values[:, None] - min(high, group.top) / factors, 0)
        under = group.slope * np.minimum(values[:, None] - low / factors, 0)
        clipped = self._shares[index] @ (over**2 + under**2)
        rounded = self._rounding(index, group)[:, None] * ((high - low) / 255 / factors) ** 2 / 12
        return np.asarray(self._importance[index][:, None] * (rounded + clip_weight * clipped))

    def _rounding(self, index: int, group: Group) -> _Reals:
        """Share of the values of each channel that rounding changes."""
        shares = self._shares[index]
        return 1 - shares[:, BINS // 2] if group.rectified else np.ones(len(shares))

    def _window(self, group: Group, powers: _Powers, clip_weight: float) -> Window:
        if group.fixed is not None:
            return group.fixed
        total, rounding, low, high = np.zeros(BINS), 0.0, 0.0, 0.0
        for index in group.seen:
            weights = self._importance[index] / STEP ** (2 * powers[index])
            for power in np.unique(powers[index]):
                chosen = powers[index] == power
                total += moved(weights[chosen] @ self._shares[index][chosen], int(power))
            rounding += float(weights @ self._rounding(index, group))
            lows, highs = self._extremes[index]
            low = min(low, float((lows * STEP ** powers[index]).min()))
            high = max(high, float((highs * STEP ** powers[index]).max()))
        # What no output depends on keeps all that was seen.
        if total.any():
            found = best_window(total, rounding, negative=group.slope**2, clip_weight=clip_weight)
            low, high = max(low, found[0]), min(high, found[1])
        low, high = min(low, group.least[0]), max(min(high, group.top), group.least[1])
        return _with_room(low, high)


def _share_step(windows: list[Window], group: int, sources: tuple[int, ...]) -> None:
    """Give the results of leaky ReLUs the step of their inputs.

    What is positive then passes from one to the other without being rounded once more.
    """
    low, high = windows[group]
    width = max(windows[one][1] - windows[one][0] for one in (*sources, group))
    for source in sources:
        top = max(high, windows[source][1])
        bottom = min(0.0, top - width)
        windows[source] = (bottom, bottom + width)
    windows[group] = (low, low + width)
