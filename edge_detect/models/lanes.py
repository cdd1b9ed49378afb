"""Where inferences run: one or more accelerators, and what stands in while they are away."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Event, Thread
from time import monotonic, monotonic_ns
from typing import Literal

from edge_detect.core import AcceleratorError, EdgeDetectError
from edge_detect.core.backoff import Backoff
from edge_detect.models.engine import Engine

__all__ = ["Lane", "Lanes", "Place"]

_log = logging.getLogger(__name__)

_LOOK_S = 0.5
_CLOSE_S = 5.0
# To load a model for the CPU on a slow board.
_FALLBACK_S = 5.0


@dataclass(slots=True, frozen=True, eq=False)
class Place:
    """A slot of a lane's engine, for one frame."""

    lane: "Lane"
    engine: Engine
    slot: int

    @property
    def spare(self) -> bool:
        """Whether it is the one more, for frames that another device has failed with."""
        return self.slot >= self.engine.session.slots


@dataclass(slots=True, eq=False)
class Lane:
    """One device for one model; not for two threads at once.

    Attributes:
        device: Its name, such as `edgetpu:usb:0`.
        open: Opens the model there; gives up when the event is set.
        backoff: How long to wait until it is opened again.
        engine: What was opened; None while it is away.
        free: Its places that nobody has.
        taken: How many of its places somebody has, also of engines before this one.
        tried: Whether it is being opened again.
    """

    device: str
    open: Callable[[Event], Engine]
    backoff: Backoff = field(default_factory=lambda: Backoff(0.5, 60.0))
    engine: Engine | None = None
    free: list[Place] = field(default_factory=list)
    taken: int = 0
    tried: bool = False
    _since_ns: int = 0

    def begin(self, engine: Engine) -> None:
        """Take over what was opened."""
        self.engine, self._since_ns = engine, monotonic_ns()
        slots = range(engine.session.slots + 1)
        self.free = [Place(self, engine, slot) for slot in slots]

    def end(self) -> Engine | None:
        """Forget the engine, if there is one; how long it worked decides how soon it is tried."""
        engine, self.engine, self.free = self.engine, None, []
        if engine is not None:
            self.backoff.worked_for(monotonic_ns() - self._since_ns)
        return engine

    def take(self, *, spare: bool) -> Place | None:
        """A free place; None if there is none."""
        for place in self.free:
            if place.spare == spare:
                self.free.remove(place)
                self.taken += 1
                return place
        return None

    def give_back(self, place: Place) -> None:
        """Take a place back, which is void if its engine is."""
        self.taken -= 1
        if place.engine is self.engine:
            self.free.append(place)


class Lanes:
    """Gives every frame a place, on whichever device has the least to do.

    A device that fails is opened again in the background, with growing waits and for ever.
    While none is left, the fallback is opened and used.

    Args:
        model: Its name, for the log.
        lanes: The devices.
        fallback: Where frames go while all devices are away; None: nowhere.
        absence: What it means if no device can be opened at first: an `error`; or the fallback
            is used, and the devices are tried `again`, or are `forgotten`.
        deadline_s: How long a device that hangs is waited for; 0 where none can.

    Attributes:
        runtime: Package and version that does the inference, e.g. `litert 2.3.0`.
        threads: Threads that share one inference.
        away: Why a device is away; empty while none is.

    Raises:
        EdgeDetectError: No device can be opened, nor the fallback.
    """

    def __init__(
        self,
        model: str,
        lanes: Sequence[Lane],
        fallback: Lane | None = None,
        *,
        absence: Literal["error", "again", "forgotten"] = "error",
        deadline_s: float = 0.0,
    ) -> None:
        self.runtime, self.threads, self.away = "", 0, ""
        self._model = model
        self._lanes = list(lanes)
        self._fallback = fallback
        self._fallback_due_s = 0.0
        self._deadline_s = deadline_s
        self._changed = Condition()
        self._closing = Event()
        try:
            self._open_all(absence)
        except BaseException:
            self.close()
            raise

    @property
    def engine(self) -> Engine:
        """One that is in use.

        Raises:
            AcceleratorError: There is none at the moment.
        """
        for lane in self._in_use():
            if lane.engine is not None:
                return lane.engine
        raise self._nothing_left()

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices in use; from any thread."""
        return tuple(lane.device for lane in self._in_use())

    @property
    def slots(self) -> int:
        """How many frames may be under way at a time when all devices are there."""
        known = [lane.engine.session.slots if lane.engine else 2 for lane in self._lanes]
        return max(1, sum(known))

    @property
    def patience_s(self) -> float:
        """How long a frame may take when all devices hang, one after another; 0: none can."""
        if not self._deadline_s:
            return 0.0
        return self._deadline_s * (len(self._lanes) + 1) + _FALLBACK_S

    def take(
        self, *, spare: bool = False, give_up: Callable[[], bool] = lambda: False
    ) -> Place | None:
        """Wait for a place.

        Args:
            spare: For a frame that a device has failed with: the one place more, which is
                given back as soon as its frame is done.
            give_up: Asked twice a second whether to wait no longer; None is returned then.

        Raises:
            AcceleratorError: All devices are away, and nothing stands in for them.
        """
        with self._changed:
            while not give_up():
                if self._closing.is_set():
                    raise ValueError("the model must be open, got a closed one")
                self._try_what_is_not_tried()
                lanes = self._in_use() or self._use_fallback()
                # Frames spread evenly: the second slot of a device waits for its first.
                if len(lanes) > 1:
                    lanes.sort(key=lambda lane: lane.taken)
                for lane in lanes:
                    place = lane.take(spare=spare)
                    if place is not None:
                        return place
                self._changed.wait(_LOOK_S)
        return None

    def give_back(self, place: Place) -> None:
        """Let another frame have it."""
        with self._changed:
            place.lane.give_back(place)
            self._retire_fallback()
            self._changed.notify_all()

    def fail(self, place: Place, error: AcceleratorError) -> None:
        """Give a place back whose device has failed; the device is opened again."""
        with self._changed:
            lane, engine = place.lane, place.engine
            first = lane.engine is engine
            if first:
                lane.end()
                # Before anybody else sees that it is away.
                lane.tried = True
                self.away = error.message
            lane.give_back(place)
            self._changed.notify_all()
        if not first:
            return
        if self._closing.is_set():
            engine.session.close()
            return
        others = self.devices or ((self._fallback.device,) if self._fallback else ("nothing",))
        said, left = error.said_of(lane.device), " and ".join(others)
        _log.warning("%s: %s; %s takes over", self._model, said, left)
        self._recover(lane, engine)

    def close(self) -> None:
        """Close everything, once nobody is at work, or after some seconds."""
        self._closing.set()
        until_s = monotonic() + _CLOSE_S
        lanes = [*self._lanes, *([self._fallback] if self._fallback else [])]
        with self._changed:
            self._changed.notify_all()
            while any(lane.taken for lane in lanes) and monotonic() < until_s:
                self._changed.wait(_LOOK_S)
            engines = [lane.end() for lane in lanes]
        for engine in engines:
            if engine is not None:
                engine.session.close()

    def _open_all(self, absence: Literal["error", "again", "forgotten"]) -> None:
        errors: dict[Lane, AcceleratorError] = {}
        for lane in self._lanes:
            try:
                self._adopt(lane, lane.open(self._closing))
            except AcceleratorError as refusal:
                errors[lane] = refusal
        if len(errors) == len(self._lanes):
            fallback, first = self._fallback, errors[self._lanes[0]]
            if absence == "error" or fallback is None:
                raise first
            self._adopt(fallback, fallback.open(self._closing))
            self.away = first.message
            if absence == "forgotten":
                self._lanes, self._fallback = [fallback], None
        for lane, error in errors.items():
            then = "the CPU is used" if absence == "forgotten" else "it is tried again"
            _log.warning("%s: %s; %s", self._model, error.said_of(lane.device), then)
            if absence != "forgotten":
                self.away = error.message
                self._recover(lane)

    def _adopt(self, lane: Lane, engine: Engine) -> None:
        with self._changed:
            lane.begin(engine)
            self.runtime, self.threads = engine.session.runtime, engine.session.threads
            self._changed.notify_all()

    def _in_use(self) -> list[Lane]:
        """The lanes that frames go to: the devices that are there, else the fallback."""
        used = [lane for lane in self._lanes if lane.engine is not None]
        if not used and self._fallback is not None and self._fallback.engine is not None:
            return [self._fallback]
        return used

    def _use_fallback(self) -> list[Lane]:
        fallback = self._fallback
        if fallback is None or monotonic() < self._fallback_due_s:
            raise self._nothing_left()
        try:
            self._adopt(fallback, fallback.open(self._closing))
        except EdgeDetectError as error:
            self._fallback_due_s = monotonic() + fallback.backoff.next_s()
            if error.message not in self.away:
                self.away = f"{self.away}; {error.message}"
            _log.warning("%s: %s", self._model, error.said_of(fallback.device))
            raise self._nothing_left() from error
        return [fallback]

    def _retire_fallback(self) -> None:
        """Close the fallback once nobody uses it and a device is back."""
        fallback = self._fallback
        if fallback is None or fallback.taken or fallback in self._in_use():
            return
        engine = fallback.end()
        if engine is not None:
            engine.session.close()

    def _recover(self, lane: Lane, failed: Engine | None = None) -> None:
        thread = Thread(
            target=self._open_again, args=(lane, failed), name="edge-accelerator", daemon=True
        )
        lane.tried = True
        try:
            thread.start()
        except RuntimeError as error:
            # No more threads to be had just now: the next frame asks again.
            lane.tried = False
            _log.warning("%s: %s is not opened again: %s", self._model, lane.device, error)
            if failed is not None:
                failed.session.close()

    def _try_what_is_not_tried(self) -> None:
        for lane in self._lanes:
            if lane.engine is None and not lane.tried:
                self._recover(lane)

    def _open_again(self, lane: Lane, failed: Engine | None) -> None:
        began_ns = monotonic_ns()
        if failed is not None:
            # Only now: whoever found the failure has a frame in hand.
            failed.session.close()
        while not self._closing.wait(lane.backoff.next_s()):
            try:
                engine = lane.open(self._closing)
            except EdgeDetectError as error:
                _log.debug("%s: %s", self._model, error.said_of(lane.device))
                self.away = error.message
                continue
            except Exception:  # noqa: BLE001 - told, and tried again: cameras depend on it
                _log.exception("%s: %s cannot be opened", self._model, lane.device)
                continue
            with self._changed:
                closing = self._closing.is_set()
                if not closing:
                    lane.tried = False
                    self._adopt(lane, engine)
                    self._retire_fallback()
                    if all(each.engine is not None for each in self._lanes):
                        self.away = ""
            if closing:
                engine.session.close()
            else:
                away_s = (monotonic_ns() - began_ns) / 1e9
                # As loud as its failure: who heard of that wants to hear of this.
                _log.warning("%s: %s is back after %.0f s", self._model, lane.device, away_s)
            return

    def _nothing_left(self) -> AcceleratorError:
        devices = ", ".join(lane.device for lane in self._lanes)
        return AcceleratorError(f"{devices} is away, and nothing stands in for it: {self.away}")
