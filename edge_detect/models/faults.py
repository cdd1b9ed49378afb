"""Reporting numbers in a model's outputs that are impossible.

Kernels count them (see `edge_detect.kernels.candidates`). A class number without a label is an
error as long as the model has found nothing else: its labels or its outputs are mixed up. All
other faults, and that one later, are logged once per kind.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.kernels import candidates as places

__all__ = ["FaultReport"]

_log = logging.getLogger(__name__)

_KINDS = (
    places.NOT_A_SCORE,
    places.ABOVE_ONE,
    places.WITHOUT_LABEL,
    places.NOT_A_BOX,
    places.INVERTED,
    places.FAR_OUTSIDE,
    places.TINY,
)


class FaultReport:
    """Looks at the counters after each collection; used by one thread.

    Args:
        model: Its name.
        labels: How many it has.
        settings: The kernels' array of settings, behind which the counters lie.

    Attributes:
        totals: How many faults of each kind were counted so far, by place of the counter.
    """

    def __init__(self, model: str, labels: int, settings: NDArray[np.float64]) -> None:
        self.totals = dict.fromkeys(_KINDS, 0)
        self._model = model
        self._labels = labels
        self._settings = settings
        # A view's list is compared in 0.3 us; `any` of the array would take 4.
        self._counters = memoryview(settings.data)[_KINDS[0] : _KINDS[-1] + 1]
        self._none = [0.0] * len(_KINDS)
        self._trusted = False

    def clear(self) -> None:
        """Forget what an incomplete collection counted."""
        self._settings[places.FAULTS] = 0

    def report(self, candidates: int) -> None:
        """Raise or log what was counted, and clear the counters.

        Args:
            candidates: How many have no fault.

        Raises:
            ModelError: Class numbers have no labels, and nothing was found before.
        """
        if self._counters.tolist() != self._none:
            try:
                self._say()
            finally:
                self.clear()
        if candidates:
            self._trusted = True

    def _say(self) -> None:
        counters = self._settings
        if counters[places.WITHOUT_LABEL] and not self._trusted:
            raise self._class_error(float(counters[places.CLASS_NUMBER]))
        for kind in _KINDS:
            count = int(counters[kind])
            if count and not self.totals[kind]:
                _log.warning(
                    "%s: %s in one frame; logged once", self._model, self._describe(kind, count)
                )
            self.totals[kind] += count

    def _class_error(self, number: float) -> ModelError:
        if not number.is_integer():
            return ModelError(
                f"{self._model}: class number {number:g} is not a whole number",
                "the outputs 'classes' and 'scores' may be swapped in the manifest",
            )
        return ModelError(
            f"{self._model}: an object has class id {number:.0f}, but the manifest has"
            f" {self._labels} labels (0 to {self._labels - 1})",
            "correct the labels or label_offset in the manifest",
        )

    def _describe(self, kind: int, count: int) -> str:
        number, score = self._settings[places.CLASS_NUMBER], self._settings[places.TOP_SCORE]
        return {
            places.NOT_A_SCORE: f"{count} scores are NaN (dropped)",
            places.ABOVE_ONE: f"{count} scores are above 1, up to {score:.4g} (taken for 1);"
            " they may be logits: check `scores` in the manifest",
            places.WITHOUT_LABEL: f"{count} objects have no label, e.g. class id {number:g} of"
            f" {self._labels} labels (dropped); check the labels and label_offset",
            places.NOT_A_BOX: f"{count} boxes are NaN or infinite (dropped)",
            places.INVERTED: f"{count} boxes end before they begin (dropped); check the form and"
            " order of the box values in the manifest",
            places.FAR_OUTSIDE: f"{count} boxes lie far outside of the input (dropped); check the"
            " unit of the boxes in the manifest",
            places.TINY: f"all {count} boxes end within the first {places.TINY_PIXELS:g} pixels;"
            " check the unit of the boxes in the manifest",
        }[kind]
