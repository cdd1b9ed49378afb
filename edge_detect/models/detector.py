"""From an image to what is in it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from time import monotonic_ns, perf_counter_ns
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Image, ModelError, Size, Timings
from edge_detect.core.turns import Turns
from edge_detect.models.catalogue import CatalogueEntry, find_model
from edge_detect.models.checksum import check_content
from edge_detect.models.preprocess import ColorOrder, InputBuffer, InputWriter
from edge_detect.models.runtime import Session, check_header, open_session
from edge_detect.models.selection import Selection
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import Decoder, Thresholds

__all__ = ["Detector", "load_model"]

# Asked of the decoder when some objects are to be left out afterwards, so that many unwanted
# ones do not crowd out the wanted ones.
_MAX_BEFORE_SELECTION = 1000


class Detector:
    """A model, ready to find objects; made by `load_model`.

    Call it with an image. A pipeline uses the steps instead: `prepare` brings one frame into
    a buffer while `run` works on another one. Calls from several threads wait for each other.

    Args:
        spec: The manifest.
        session: The loaded model; closed together with the detector.
        decoder: For the session's outputs.
        thresholds: What is reported unless a call says otherwise.
        selection: Which of it is; everything by default.

    Attributes:
        spec: The manifest.
        name: What users call the model.
        labels: By class id.
        input_size: Width and height of the model's input in pixels.
        runtime: Package and version that does the inference, e.g. `litert 2.3.0`.
        threads: Threads that share one inference.
        thresholds: What is reported unless a call says otherwise.
        selection: Which of it is, unless a call says otherwise.
        turns: Taken by pipelines that share the detector, before they choose a frame for it.
    """

    def __init__(
        self,
        spec: ModelSpec,
        session: Session,
        decoder: Decoder,
        thresholds: Thresholds,
        selection: Selection | None = None,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.labels = tuple(spec.labels)
        self.input_size: Size = spec.input.frame_size
        self.runtime = session.runtime
        self.threads = session.threads
        self.thresholds = thresholds
        self.selection = selection or Selection(spec.name, spec.labels)
        self.turns = Turns()
        self._session = session
        self._decoder = decoder
        self._writer = InputWriter(spec.input, session.inputs[0].dtype)
        self._lock = Lock()
        self._buffer = self.new_buffer()

    def __call__(
        self,
        image: Image,
        *,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        multi_label: bool | None = None,
        color: ColorOrder = "bgr",
    ) -> Detections:
        """Find the objects in one image.

        Args:
            image: (height, width, 3) uint8, any strides; read, never kept.
            score_threshold: Least score, 0 to 1.
            iou_threshold: Overlap above which the lesser of two boxes goes, 0 to 1.
            max_detections: At most so many, best first.
            multi_label: Whether one anchor may give several classes.
            color: Channel order of the image.

        Returns:
            Boxes in pixels of the image.

        Raises:
            ValueError: The image is none, or a threshold is out of range.
        """
        if color not in ("bgr", "rgb"):
            raise ValueError(f"color must be 'bgr' or 'rgb', got {color!r}")
        thresholds = override(
            self.thresholds, score_threshold, iou_threshold, max_detections, multi_label
        )
        with self._lock:
            self._buffer.fill(image, color)
            return self._run(self._buffer, thresholds, self.selection)[0]

    def new_buffer(self) -> InputBuffer:
        """A buffer for one frame, for `prepare` and `run`."""
        return InputBuffer(self.spec.input)

    def prepare(self, image: Image, buffer: InputBuffer, frame_size: Size | None = None) -> None:
        """Bring a frame into a buffer; other buffers may be run meanwhile.

        Args:
            image: (height, width, 3) uint8 in B, G, R order, any strides; read, never kept.
            buffer: From `new_buffer`; overwritten.
            frame_size: Size of the picture that boxes are to be measured in, where `image`
                is a smaller version of it.

        Raises:
            ValueError: The image is none.
        """
        buffer.fill(image, frame_size=frame_size)

    def run(
        self,
        buffer: InputBuffer,
        thresholds: Thresholds | None = None,
        selection: Selection | None = None,
    ) -> tuple[Detections, Timings]:
        """Find the objects in a prepared frame.

        Args:
            buffer: After `prepare`; read only, and free for the next frame afterwards.
            thresholds: What is reported; by default the detector's own.
            selection: Which of it is; by default the detector's own.

        Returns:
            Boxes in pixels of the frame, and how long each step took.
        """
        with self._lock:
            return self._run(buffer, thresholds or self.thresholds, selection or self.selection)

    def invoke(self) -> None:
        """Run the bare interpreter on whatever its input holds: the physical limit of speed."""
        with self._lock:
            self._session.invoke()

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Copies of the output tensors of the last inference, by tensor name."""
        with self._lock:
            return {name: view.copy() for name, view in self._session.output_views().items()}

    def close(self) -> None:
        """Give the model's memory back; the detector is of no use afterwards."""
        with self._lock:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(
        self, buffer: InputBuffer, thresholds: Thresholds, selection: Selection
    ) -> tuple[Detections, Timings]:
        session = self._session
        begin_ns = perf_counter_ns()
        # The view dies with this call: the interpreter refuses to run while one is alive.
        self._writer.write(buffer.pixels, session.input_view())
        written_ns = perf_counter_ns()
        session.invoke()
        invoked_ns = perf_counter_ns()
        detections = self._decode(buffer, thresholds, selection)
        decoded_ns = perf_counter_ns()
        return detections, Timings(
            preprocess_ns=buffer.preprocess_ns + written_ns - begin_ns,
            invoke_ns=invoked_ns - written_ns,
            postprocess_ns=decoded_ns - invoked_ns,
            detected_ns=monotonic_ns(),
        )

    def _decode(
        self, buffer: InputBuffer, thresholds: Thresholds, selection: Selection
    ) -> Detections:
        decode, views = self._decoder.decode, self._session.output_views()
        frame = buffer.letterbox.frame
        if not selection.leaves_out:
            return selection.apply(decode(views, buffer.letterbox, thresholds), frame)
        wider = replace(
            thresholds, max_detections=max(_MAX_BEFORE_SELECTION, thresholds.max_detections)
        )
        found = selection.apply(decode(views, buffer.letterbox, wider), frame)
        return found[: thresholds.max_detections]


def load_model(
    name_or_path: str | Path,
    *,
    threads: int | None = None,
    runtime: str | None = None,
    classes: Sequence[str] | None = None,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
) -> Detector:
    """Load a model.

    Args:
        name_or_path: A name of the catalogue (`edge-detect models list`), or the path of a
            `.tflite` file with its manifest beside it.
        threads: Threads that share one inference; by default one less than the cores, at
            most four.
        runtime: `litert` or `tflite-runtime`; by default the first that is installed.
        classes: Labels to report; all by default.
        score_threshold: Least score reported, 0 to 1; by default the manifest's.
        iou_threshold: Overlap above which the lesser of two boxes goes; by default the
            manifest's.
        max_detections: At most so many are reported; by default the manifest's.

    Raises:
        ModelError: There is no such model, or its file or manifest cannot be used.
        DependencyError: No runtime is installed, or it does not fit the other packages.
        ConfigError: A class or the runtime is unknown.
        ValueError: A number is out of range.

    Example:
        >>> detector = load_model("yolov3-tiny-coco")
        >>> detections = detector(cv2.imread("street.jpg"))
        >>> detections[detections.scores > 0.5].names
        ['person', 'bicycle']
    """
    entry = find_model(name_or_path)
    spec = entry.spec
    thresholds = override(
        Thresholds(
            score=spec.nms.score_threshold,
            iou=spec.nms.iou_threshold,
            max_detections=spec.nms.max_detections,
            multi_label=spec.nms.multi_label,
        ),
        score_threshold,
        iou_threshold,
        max_detections,
    )
    selection = Selection(spec.name, spec.labels, classes)
    if not entry.present:
        hint = (
            f"fetch it with: edge-detect models pull {spec.name}"
            if spec.origin.url
            else f"put the file beside its manifest {entry.manifest}"
        )
        raise ModelError(f"the file of model {spec.name!r} is not here: {entry.path}", hint)
    check_header(entry.path)
    check_content(entry.path, spec)
    session = open_session(entry.path, threads=threads, runtime=runtime, cpu_twin=spec.cpu_twin)
    check_input(entry, session)
    return Detector(spec, session, _make_decoder(entry, session), thresholds, selection)


def override(
    thresholds: Thresholds,
    score: float | None = None,
    iou: float | None = None,
    max_detections: int | None = None,
    multi_label: bool | None = None,  # noqa: FBT001
) -> Thresholds:
    """Thresholds with everything replaced that is not None.

    Raises:
        ValueError: A number is out of range.
    """
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"score_threshold must be from 0 to 1, got {score}")
    if iou is not None and not 0 <= iou <= 1:
        raise ValueError(f"iou_threshold must be from 0 to 1, got {iou}")
    if max_detections is not None and max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    return Thresholds(
        score=thresholds.score if score is None else float(score),
        iou=thresholds.iou if iou is None else float(iou),
        max_detections=thresholds.max_detections if max_detections is None else max_detections,
        multi_label=thresholds.multi_label if multi_label is None else multi_label,
    )


def check_input(entry: CatalogueEntry, session: Session) -> None:
    """Refuse a model whose input is not what its manifest says.

    Raises:
        ModelError: Names the manifest, its key and the tensor.
    """
    if len(session.inputs) != 1:
        raise ModelError(f"{entry.path} has {len(session.inputs)} inputs; one image is needed")
    tensor = session.inputs[0]
    width, height = entry.size
    if tensor.shape != (1, height, width, 3):
        raise ModelError(
            f"{entry.manifest}: input.size: {width}x{height} needs an input of shape"
            f" {(1, height, width, 3)}, but {tensor.name!r} of {entry.path.name} has"
            f" {tensor.shape}",
            "correct input.size in the manifest (width, height)",
        )
    if tensor.dtype not in (np.uint8, np.int8, np.float32):
        raise ModelError(
            f"{entry.path} has an input of type {tensor.dtype}",
            "convert the model with a uint8, int8 or float32 input",
        )


def _make_decoder(entry: CatalogueEntry, session: Session) -> Decoder:
    # Kernels cost a tenth of a second to import; listing models does not need them.
    from edge_detect.models.decoders import make_decoder

    try:
        return make_decoder(entry.spec, session.outputs)
    except ModelError as error:
        raise ModelError(f"{entry.manifest}: {error.message}", error.hint) from error
