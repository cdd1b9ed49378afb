"""The decoder for SSD models with suppression inside the graph."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels.postprocess import collect_rows
from edge_detect.kernels.registry import prepare
from edge_detect.models.sections.ssd import SsdOutput, SsdSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["SsdPostprocessDecoder"]

_ROWS: tuple[SsdOutput, ...] = ("boxes", "classes", "scores", "count")
# For outputs whose size is known only after an inference; more room is made when needed.
_ROOM = 100


class SsdPostprocessDecoder:
    """Decodes the outputs of TFLite_Detection_PostProcess.

    Args:
        spec: The manifest, family `ssd`, head `postprocess`.
        ssd: Its section; without `count`, all rows count.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, ssd: SsdSpec, outputs: Mapping[str, TensorInfo]) -> None:
        self._model = spec.name
        infos = self._find(ssd, outputs)
        self._reader = TensorReader(infos, as_real=True)
        self.reads = self._reader.names
        # Files may leave shapes open: the converter does not know the operator's.
        self._open = any(info.shape == () for info in infos[:3])
        rows = _ROOM
        if not self._open:
            rows = math.prod(infos[2].shape)
            self._check([info.shape for info in infos])
        self._all_rows = np.full(1, np.inf, np.float32)
        self._size = np.array(spec.input.size, np.float64)
        self._label_offset = ssd.label_offset
        prepare(collect_rows)
        self._workspace = Workspace(None, spec.labels, rows, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`.

        The graph has suppressed already: only the score threshold and the number count.

        Raises:
            ModelError: The outputs are not what the manifest says.
        """
        if self._open:
            self._check([outputs[name].shape for name in self.reads])
            self._open = False
        workspace = self._workspace
        workspace.configure(letterbox, thresholds)
        corners, classes, scores, *rows = self._reader.read(outputs)
        valid = rows[0] if rows else self._all_rows
        size, offset, settings = self._size, self._label_offset, workspace.settings
        return workspace.decode(
            lambda room, notes: collect_rows(
                corners, classes, scores, valid, size, offset, settings, room, notes
            )
        )

    def _find(self, ssd: SsdSpec, outputs: Mapping[str, TensorInfo]) -> list[TensorInfo]:
        """Boxes, classes, scores, and the count where there is one."""
        infos = []
        for key in _ROWS:
            names = ssd.names_of(key)
            if len(names) != 1 and not (key == "count" and not names):
                number = f"has {len(names)} names, not one" if names else "is missing"
                raise ModelError(f"manifest of {self._model}: ssd.outputs.{key} {number}")
            infos += [output_named(self._model, outputs, name) for name in names]
        return infos

    def _check(self, shapes: list[tuple[int, ...]]) -> None:
        """Compare shapes with each other.

        Raises:
            ModelError: They are not those of boxes, classes and scores; says which may be.
        """
        sizes = [math.prod(shape) for shape in shapes]
        counted = sizes[3] if len(sizes) > 3 else 1
        if sizes[0] == 4 * sizes[2] and sizes[1] == sizes[2] and counted == 1:
            return
        given = zip(_ROWS, self.reads, shapes, strict=False)
        described = ", ".join(f"{key} {name!r} {shape}" for key, name, shape in given)
        raise ModelError(
            f"{self._model}: outputs have shapes that do not fit: {described}",
            "correct [ssd.outputs] in the manifest: boxes are rows of four, classes and scores"
            " have one number per row, count is a single number",
        )
