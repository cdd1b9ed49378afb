"""One model on one device, measured for what it is."""

from dataclasses import dataclass, replace
from threading import Event, Timer
from time import perf_counter_ns

from edge_detect.core import NS_PER_S, AcceleratorError, EdgeDetectError, Image
from edge_detect.models import CatalogueEntry, Detector, Thresholds
from edge_detect.models.accelerator import parse_accelerator
from edge_detect.models.lanes import Lane, Lanes
from edge_detect.models.loading import plan_lanes
from edge_detect.models.options import LoadOptions

__all__ = ["Contender", "Device", "TooSlowError"]

# A round of a slow device is cut short: the others wait meanwhile.
_ROUND_NS = NS_PER_S
_LEAST_PER_ROUND = 3


@dataclass(slots=True, frozen=True)
class Device:
    """What a model is to run on.

    Attributes:
        name: `cpu`, `gpu` or `edgetpu:usb:0` and so on.
        absence: Why it is not there; None if it is.
    """

    name: str
    absence: EdgeDetectError | None = None


class TooSlowError(AcceleratorError):
    """A device that was not ready in time."""


class Contender:
    """One model on one device, with nothing that stands in for it.

    Args:
        entry: The model as the user names it; on some devices, its twin is what runs.
        device: What it is to run on.
        options: How it is loaded.
        image: (height, width, 3) uint8, B, G, R: what is inferred again and again.
        open_s: How long a device may take to be ready.

    Attributes:
        device: As given.
        detector: It, opened.
        runtime: Runtime and version.
        threads: Of the interpreter.
        open_ns: How long it took until an inference could begin.
        first_ns: How long the first inference took; None where its helper does not tell: then
            it is part of `open_ns`.
        invoke_ns: Inferences that are kept, as the device took them.
        round_trip_ns: The same, as the program waited for them.

    Raises:
        TooSlowError: It was not ready in time.
        EdgeDetectError: It cannot be opened.
    """

    def __init__(
        self,
        entry: CatalogueEntry,
        device: Device,
        options: LoadOptions,
        image: Image,
        open_s: float,
    ) -> None:
        if device.absence is not None:
            raise device.absence
        self.device = device
        self.invoke_ns: list[int] = []
        self.round_trip_ns: list[int] = []
        self._give_up = Event()
        begin_ns = perf_counter_ns()
        lanes = self._open(entry, options, open_s)
        self.open_ns = perf_counter_ns() - begin_ns
        nms = entry.spec.nms
        thresholds = Thresholds(nms.score_threshold, nms.iou_threshold, nms.max_detections)
        self.detector = Detector(entry.spec, lanes, thresholds)
        self.runtime, self.threads = self.detector.runtime, self.detector.threads
        self._buffer = self.detector.new_buffer()
        self.detector.prepare(image, self._buffer)
        # A helper makes the first inference by itself, before it says that it is ready.
        self.first_ns: int | None = getattr(lanes.engine.session, "first_invoke_ns", None)
        if device.name == "cpu":
            self.first_ns, _ = self._infer(1)[0]
        elif self.first_ns is not None:
            self.open_ns -= self.first_ns

    def infer(self, most: int, *, keep: bool) -> None:
        """Infer so many times, or less often if that takes longer than a second.

        Args:
            most: At most so many inferences.
            keep: Whether their durations are kept.

        Raises:
            AcceleratorError: The device failed, or did not answer in time.
        """
        durations = self._infer(most)
        if keep:
            self.invoke_ns += [invoke_ns for invoke_ns, _ in durations]
            self.round_trip_ns += [round_trip_ns for _, round_trip_ns in durations]

    def close(self) -> None:
        """End it."""
        self._give_up.set()
        self.detector.close()

    def _open(self, entry: CatalogueEntry, options: LoadOptions, open_s: float) -> Lanes:
        name, give_up = self.device.name, self._give_up
        plan = plan_lanes(entry, replace(options, accelerator=parse_accelerator(name)))
        timer = Timer(open_s, give_up.set)
        timer.daemon = True
        timer.start()
        try:
            return Lanes(entry.name, [Lane(name, lambda _: plan.lanes[0].open(give_up))])
        except AcceleratorError as error:
            if give_up.is_set():
                raise TooSlowError(f"{name} was not ready within {open_s:g} s") from error
            raise
        finally:
            timer.cancel()

    def _infer(self, most: int) -> list[tuple[int, int]]:
        """How long inferences took, by the device and by the program, nanoseconds."""
        durations: list[tuple[int, int]] = []
        until_ns = perf_counter_ns() + _ROUND_NS
        place = self.detector.reserve()
        session = place.engine.session
        try:
            while len(durations) < most:
                place.engine.write(self._buffer, place.slot)
                begin_ns = perf_counter_ns()
                session.begin(place.slot)
                invoke_ns = session.finish(place.slot)
                end_ns = perf_counter_ns()
                durations.append((invoke_ns, end_ns - begin_ns))
                if end_ns > until_ns and len(durations) >= _LEAST_PER_ROUND:
                    break
        finally:
            self.detector.give_back(place)
        return durations
