"""Round the weights of convolutions to int8 so that their results change least.

Rounding each weight to the nearest step is not best: inputs of neighbouring taps and
channels are alike, so that errors of some weights can make up for those of others. The
covariance of the inputs, sampled on calibration pictures, determines which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError

__all__ = [
    "MOST_TAPS",
    "InputStatistics",
    "QuantizedWeights",
    "round_depthwise",
    "round_matrix",
    "round_weights",
    "weight_scales",
]

_Reals = NDArray[np.float64]

_LARGEST = 127
_BLOCK = 64
# A covariance of more taps fills the memory: 4608 are 3 x 3 x 512.
MOST_TAPS = 4608
# Parts of the mean variance that are added to each, until the covariance can be factored.
_DAMPING = (0.01, 0.1, 1.0, 10.0)
_SHARES = np.linspace(1.0, 0.75, 11)


@dataclass
class InputStatistics:
    """What the inputs of one convolution were like.

    Attributes:
        mean: (taps,), or (channels, taps) of a depthwise convolution.
        covariance: (taps, taps), or (channels, taps, taps); of more than `MOST_TAPS` taps the
            variances alone, in the shape of `mean`.
    """

    mean: _Reals
    covariance: NDArray[np.floating[Any]]

    @property
    def has_variances_alone(self) -> bool:
        """Whether there were too many taps for covariances."""
        return self.covariance.ndim == self.mean.ndim

    @property
    def variance(self) -> _Reals:
        """Of each tap, in the shape of `mean`."""
        if self.has_variances_alone:
            return self.covariance.astype(np.float64)
        return np.diagonal(self.covariance, axis1=-2, axis2=-1).astype(np.float64)

    def scaled(self, factors: _Reals) -> "InputStatistics":
        """What is seen when each tap is multiplied.

        Args:
            factors: Of the shape of `mean`, or (channels, 1).
        """
        narrow = factors.astype(self.covariance.dtype)
        if self.has_variances_alone:
            return InputStatistics(self.mean * factors, self.covariance * narrow**2)
        covariance = self.covariance * narrow[..., :, None]
        covariance *= narrow[..., None, :]
        return InputStatistics(self.mean * factors, covariance)


@dataclass(frozen=True)
class QuantizedWeights:
    """The weights of one convolution.

    Attributes:
        values: int8 in the layout of the float weights.
        scales: Per filter, float64.
    """

    values: NDArray[np.int8]
    scales: NDArray[np.float64]

    def real(self, *, depthwise: bool) -> NDArray[np.float64]:
        """The real weights that these stand for."""
        scales = (
            self.scales if depthwise else self.scales.reshape(-1, *[1] * (self.values.ndim - 1))
        )
        return np.asarray(self.values * scales, np.float64)


def round_weights(
    kernel: _Reals, inputs: InputStatistics, kind: str, *, nearest: bool = False
) -> QuantizedWeights:
    """Choose the steps of a convolution's weights, and round them.

    Args:
        kernel: Real weights in the layout of the operator.
        inputs: What the convolution sees.
        kind: Of the operator: `CONV_2D`, `DEPTHWISE_CONV_2D` or `FULLY_CONNECTED`.
        nearest: Round each weight by itself.
    """
    depthwise = kind == "DEPTHWISE_CONV_2D"
    rows = kernel.reshape(-1, kernel.shape[-1]).T if depthwise else kernel.reshape(len(kernel), -1)
    variance = inputs.variance
    floor = 1e-3 * variance.mean(axis=-1, keepdims=True) + 1e-12
    scales = weight_scales(rows, variance + floor)
    if kind == "FULLY_CONNECTED":
        # One step for all is what every version of the runtimes has kernels for.
        scales = np.full_like(scales, scales.max())
    scales = scales.astype(np.float32).astype(np.float64)
    if nearest or inputs.has_variances_alone:
        steps = np.round(rows / scales[:, None]).clip(-_LARGEST, _LARGEST).astype(np.int8)
    else:
        rounding = round_depthwise if depthwise else round_matrix
        # What is left of the mean of squares when the mean is taken out is exact to a part.
        least = 1e-6 * (variance + inputs.mean**2).mean(axis=-1, keepdims=True)
        steps = rounding(rows, scales, inputs.covariance, least=least)
    values = np.ascontiguousarray((steps.T if depthwise else steps).reshape(kernel.shape))
    return QuantizedWeights(values, scales[:1] if kind == "FULLY_CONNECTED" else scales)


def weight_scales(weights: _Reals, variance: _Reals) -> _Reals:
    """Choose the step of each filter.

    Args:
        weights: (filters, taps).
        variance: (taps,) or (filters, taps), of the input of each tap; weighs the errors.

    Returns:
        (filters,): the largest weight over 127, or up to a quarter less where clipping it
        costs less than the finer steps gain; positive also for filters of zeros.
    """
    largest = np.abs(weights).max(axis=1)
    # Pruned networks have filters of zeros: the step is free there, but the bias counts in it.
    largest[largest == 0] = largest.max(initial=0.0) or 1.0
    largest = np.maximum(largest, 1e-6 * largest.max())
    best = np.full(len(weights), np.inf)
    chosen = largest / _LARGEST
    for share in _SHARES:
        scales = share * largest / _LARGEST
        steps = np.clip(np.round(weights / scales[:, None]), -_LARGEST, _LARGEST)
        errors = (variance * (weights - steps * scales[:, None]) ** 2).sum(axis=1)
        better = errors < best
        best[better], chosen[better] = errors[better], scales[better]
    return np.asarray(chosen)


def round_matrix(
    weights: _Reals,
    scales: _Reals,
    covariance: NDArray[np.floating[Any]],
    *,
    damping: Sequence[float] = _DAMPING,
    least: _Reals | float = 0.0,
) -> NDArray[np.int8]:
    """Round the weights of a convolution, each making up for the errors of those before it.

    Minimizes (w - q)ᵀ C (w - q) greedily: with C = Rᵀ R, R upper triangular, the taps are
    rounded from the last to the first, each moved by what the errors of the later ones do.

    Args:
        weights: (filters, taps).
        scales: (filters,).
        covariance: (taps, taps) of the inputs.
        damping: Part of the mean variance that is added to each, against few samples; the
            first of these with which there is an R.
        least: What is added in any case.

    Returns:
        (filters, taps), -127 to 127.

    Reference:
        Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
        Transformers", 2023; in the form of Babai's nearest plane (Chen et al., "The Geometry
        of LLM Quantization", 2025, which shows that both give the same).
    """
    filters, taps = weights.shape
    # The most active taps come first, while the others can still make up for their errors.
    order = np.argsort(np.diag(covariance), kind="stable")
    ratios = _factor(covariance[np.ix_(order, order)].astype(np.float64), damping, least)
    ratios /= np.diag(ratios).copy()[:, None]
    sorted_weights = weights[:, order]
    errors = np.zeros_like(sorted_weights)
    steps = np.zeros((filters, taps), np.int8)
    for stop in range(taps, 0, -_BLOCK):
        start = max(0, stop - _BLOCK)
        pulled = sorted_weights[:, start:stop] + errors[:, stop:] @ ratios[start:stop, stop:].T
        for tap in range(stop - 1, start - 1, -1):
            wanted = (
                pulled[:, tap - start] + errors[:, tap + 1 : stop] @ ratios[tap, tap + 1 : stop]
            )
            rounded = np.clip(np.round(wanted / scales), -_LARGEST, _LARGEST)
            errors[:, tap] = sorted_weights[:, tap] - rounded * scales
            steps[:, order[tap]] = rounded
    return steps


def round_depthwise(
    weights: _Reals,
    scales: _Reals,
    covariance: NDArray[np.floating[Any]],
    *,
    damping: Sequence[float] = _DAMPING,
    least: _Reals | float = 0.0,
) -> NDArray[np.int8]:
    """As `round_matrix`, for filters that each have inputs of their own.

    Args:
        weights: (channels, taps).
        scales: (channels,).
        covariance: (channels, taps, taps).
        damping: See `round_matrix`.
        least: See `round_matrix`; (channels, 1).
    """
    channels, taps = weights.shape
    upper = _factor(covariance.astype(np.float64), damping, least)
    errors = np.zeros_like(weights)
    steps = np.zeros((channels, taps), np.int8)
    for tap in range(taps - 1, -1, -1):
        pull = (errors[:, tap + 1 :] * upper[:, tap, tap + 1 :]).sum(axis=1) / upper[:, tap, tap]
        rounded = np.clip(np.round((weights[:, tap] + pull) / scales), -_LARGEST, _LARGEST)
        errors[:, tap] = weights[:, tap] - rounded * scales
        steps[:, tap] = rounded
    return steps


def _factor(covariance: _Reals, damping: Sequence[float], least: _Reals | float) -> _Reals:
    """R of C = Rᵀ R, C being the covariance and some more variance.

    Args:
        covariance: (…, taps, taps); overwritten.
        damping: See `round_matrix`.
        least: See `round_matrix`.
    """
    diagonal = np.einsum("...ii->...i", covariance)
    variances = diagonal.copy()
    for parts in damping:
        diagonal[...] = variances + _damp(variances, parts) + least
        try:
            return np.asarray(np.linalg.cholesky(covariance).swapaxes(-1, -2))
        except np.linalg.LinAlgError:
            continue
    raise ModelError(
        "the activations of the network are too large", "check the weights and the input range"
    )


def _damp(variances: _Reals, damping: float) -> _Reals:
    mean = variances.mean(axis=-1, keepdims=True)
    return np.asarray(damping * mean + np.where(mean > 0, 1e-9 * mean, 1.0))
