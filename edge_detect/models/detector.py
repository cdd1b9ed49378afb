"""From an image to what is in it."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic_ns
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from edge_detect.core import AcceleratorError, Detections, Image, Size, Timings
from edge_detect.core.turns import Turns
from edge_detect.models.engine import Durations
from edge_detect.models.infer.inference import Inference
from edge_detect.models.lanes import Lanes, Place
from edge_detect.models.output_copy import OutputCopy
from edge_detect.models.preprocess import ColorOrder, InputBuffer
from edge_detect.models.selection import Selection
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tensors import Thresholds, override

__all__ = ["Detector", "Ticket"]


@dataclass(slots=True, frozen=True)
class Ticket:
    """A frame that `Detector.submit` has handed to a device.

    Attributes:
        buffer: What it was prepared in; not to be filled again before `collect`.
        place: Where it is; where it was, and no longer this frame's, if there is a copy.
        write_ns: How long it took to bring it there.
        copy: What the model put out, where the inference is done; None where a device has it.
    """

    buffer: InputBuffer
    place: Place
    write_ns: int
    copy: OutputCopy | None


class Detector:
    """A model, ready to find objects; made by `load_model`.

    Call it with an image. A pipeline uses the steps instead: `prepare` brings one frame into a
    buffer, `submit` has another one inferred, and `collect` decodes the one before that. `run` does
    both in one go. Calls from several threads wait for each other.

    Args:
        spec: The manifest.
        lanes: The loaded model, on whatever runs it; closed together with the detector.
        thresholds: What is reported unless a call says otherwise.
        selection: Which of it is; everything by default.
        reason: Why it is this model, where none was named.

    Attributes:
        spec: The manifest.
        name: What users call the model.
        labels: By class id.
        input_size: Width and height of the model's input in pixels.
        inferred: What the model file itself told; None where the manifest is complete.
        title: What the line at start calls it: its file, where that alone is known.
        lanes: What it runs on.
        thresholds: What is reported unless a call says otherwise.
        selection: Which of it is, unless a call says otherwise.
        reason: Why it is this model, where none was named; else empty.
        turns: Where pipelines that share the detector take turns, before each chooses a frame.
    """

    def __init__(
        self,
        spec: ModelSpec,
        lanes: Lanes,
        thresholds: Thresholds,
        selection: Selection | None = None,
        reason: str = "",
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.labels = tuple(spec.labels)
        self.input_size: Size = spec.input.frame_size
        self.lanes = lanes
        self.thresholds = thresholds
        self.selection = selection or Selection(spec.name, spec.labels)
        self.reason = reason
        self.inferred: Inference | None = None
        self.title = spec.name
        self.turns = Turns()
        self._buffer = self.new_buffer()
        self._last: Place | None = None
        self._calling = Lock()

    @property
    def runtime(self) -> str:
        """Package and version that does the inference, e.g. `litert 2.3.0`."""
        return self.lanes.runtime

    @property
    def threads(self) -> int:
        """Threads that share one inference."""
        return self.lanes.threads

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
        with self._calling:
            self._buffer.fill(image, color)
            return self.run(self._buffer, thresholds, self.selection)[0]

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
        thresholds, selection = thresholds or self.thresholds, selection or self.selection
        while True:
            place = self.reserve()
            if not place.engine.session.deferred:
                return self.collect(self.submit(buffer, place), thresholds, selection)
            try:
                found, took = place.engine.run(place.slot, buffer, thresholds, selection)
            except AcceleratorError as error:
                self.lanes.fail(place, error)
                continue
            except BaseException:
                self.lanes.give_back(place)
                raise
            self._last = place
            self.lanes.give_back(place)
            return found, _timings(buffer, took)

    def reserve(self, *, spare: bool = False) -> Place:
        """Wait for a device that can take a frame, before the frame is chosen.

        Args:
            spare: Whether a device has failed with the frame: then it never waits for frames
                behind it.

        Returns:
            For `submit` or `give_back`, one of which must follow.

        Raises:
            AcceleratorError: All devices are away, and nothing stands in for them.
        """
        while True:
            place = self.lanes.take(spare=spare)
            if place is not None:
                return place

    def reserve_unless(self, give_up: Callable[[], bool]) -> Place | None:
        """As `reserve`, but None if there is something better to do.

        Args:
            give_up: Asked twice a second whether there is.

        Raises:
            AcceleratorError: As `reserve`.
        """
        return self.lanes.take(give_up=give_up)

    def give_back(self, place: Place) -> None:
        """Do without a place that was reserved."""
        self.lanes.give_back(place)

    def submit(
        self, buffer: InputBuffer, place: Place | None = None, *, spare: bool = False
    ) -> Ticket:
        """Hand a prepared frame to a device; if that fails, another one gets it.

        An accelerator infers it by itself, and the place is the frame's until `collect`. The CPU
        has inferred it when this returns; the outputs are copied and the place is given back, so
        that the next frame, of any caller, may be inferred before this one is collected.

        Args:
            buffer: After `prepare`; read only, and free for the next frame after `collect`.
            place: From `reserve`; by default the first that is free, waiting for one.
            spare: As in `reserve`.

        Returns:
            For `collect` or `abandon`, one of which must follow.

        Raises:
            AcceleratorError: All devices are away, and nothing stands in for them.
            ModelError: The inference failed, or an output has another shape than before.
        """
        while True:
            place = place or self.reserve(spare=spare)
            try:
                write_ns, copy = place.engine.begin(buffer, place.slot)
            except AcceleratorError as error:
                self.lanes.fail(place, error)
                place = None
                continue
            except BaseException:
                self.lanes.give_back(place)
                raise
            if copy is not None:
                self._last = place
                self.lanes.give_back(place)
            return Ticket(buffer, place, write_ns, copy)

    def collect(
        self,
        ticket: Ticket,
        thresholds: Thresholds | None = None,
        selection: Selection | None = None,
    ) -> tuple[Detections, Timings]:
        """Decode a frame that was handed over, waiting for it where a device has it.

        If the device fails, another one gets the frame.

        Args:
            ticket: From `submit`.
            thresholds: What is reported; by default the detector's own.
            selection: Which of it is; by default the detector's own.

        Returns:
            Boxes in pixels of the frame, and how long each step took.

        Raises:
            AcceleratorError: All devices are away, and nothing stands in for them.
            ModelError: The outputs are impossible.
        """
        thresholds, selection = thresholds or self.thresholds, selection or self.selection
        while True:
            place, buffer, copy = ticket.place, ticket.buffer, ticket.copy
            try:
                found, took = place.engine.finish(place.slot, copy, buffer, thresholds, selection)
            except AcceleratorError as error:
                self.lanes.fail(place, error)
                # Not one of those places that wait for frames behind this one.
                ticket = self.submit(buffer, spare=True)
                continue
            except BaseException:
                if copy is None:
                    self.lanes.give_back(place)
                raise
            if copy is None:
                self._last = place
                self.lanes.give_back(place)
            return found, _timings(buffer, took, ticket.write_ns)

    def abandon(self, ticket: Ticket) -> None:
        """Forget a frame that was handed over, waiting for it where a device has it."""
        place = ticket.place
        try:
            place.engine.abandon(place.slot, ticket.copy)
        except AcceleratorError as error:
            self.lanes.fail(place, error)
        else:
            if ticket.copy is None:
                self.lanes.give_back(place)

    def invoke(self) -> None:
        """Run the bare interpreter on whatever its input holds: the physical limit of speed.

        Raises:
            AcceleratorError: It failed.
        """
        place = self.reserve()
        try:
            place.engine.invoke(place.slot)
        except AcceleratorError as error:
            self.lanes.fail(place, error)
            raise
        except BaseException:
            self.lanes.give_back(place)
            raise
        self._last = place
        self.lanes.give_back(place)

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Copies of the output tensors of the last inference, by tensor name.

        In a pipeline that may be one of a later frame than the last that was collected.
        """
        if self._last is None:
            return self.lanes.engine.outputs(0)
        return self._last.engine.outputs(self._last.slot)

    def close(self) -> None:
        """Give the model's memory back; the detector is of no use afterwards."""
        self.lanes.close()
        self._last = None

    @property
    def patience_s(self) -> float:
        """How long `collect` may wait for a device that hangs; 0 where nothing does."""
        return self.lanes.patience_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _timings(buffer: InputBuffer, took: Durations, write_ns: int = 0) -> Timings:
    return Timings(
        preprocess_ns=buffer.preprocess_ns + write_ns + took.write_ns,
        invoke_ns=took.invoke_ns,
        postprocess_ns=took.decode_ns,
        detected_ns=monotonic_ns(),
    )
