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
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0


@dataclass(slots=True, eq=False)
class Lane:
    """One device for one model.

    Attributes:
        device: Its name, such as `edgetpu:usb:0`.
        open: Opens the model there; gives up when the event is set.
        engine: What was opened; None while it is away.
        taken: How many of its places are.
    """

    device: str
    open: Callable[[Event], Engine]
    engine: Engine | None = None
    taken: int = 0
    _since_ns: int = 0
    _backoff: Backoff = field(default_factory=lambda: Backoff(_FIRST_WAIT_S, _LONGEST_WAIT_S))

    def begin(self, engine: Engine) -> None:
        """Take over what was opened."""
        self.engine, self._since_ns = engine, monotonic_ns()

    def end(self) -> None:
        """Forget the engine; how long it worked decides how soon it is tried again."""
        self.engine = None
        self._backoff.worked_for(monotonic_ns() - self._since_ns)

    def next_wait_s(self) -> float:
        """Seconds until it is tried again."""
        return self._backoff.next_s()


@dataclass(slots=True, frozen=True, eq=False)
class Place:
    """A slot of a lane's engine, for one frame."""

    lane: Lane
    engine: Engine
    slot: int


class Lanes:
    """Gives every frame a place, on whichever device is free first.

    A device that fails is opened again in the background, with growing waits and for ever.
    While none is left, the fallback is opened and used.

    Args:
        model: Its name, for the log.
        lanes: The devices.
        fallback: Where frames go while all devices are away; None: nowhere.
        absence: What it means if no device can be opened at first: an `error`; or the fallback
            is used, and the devices are tried `again`, or are `forgotten`.
        patience_s: How long a device that hangs is waited for; 0 where none can.

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
        patience_s: float = 0.0,
    ) -> None:
        self.patience_s = patience_s
        self._model = model
        self._lanes = list(lanes)
        self._fallback = fallback
        self._changed = Condition()
        self._free: list[Place] = []
        self._spare: list[Place] = []
        self._closing = Event()
        self.away = ""
        errors = {lane: error for lane in lanes if (error := self._try_to_open(lane))}
        if len(errors) == len(self._lanes):
            if absence == "error" or fallback is None:
                raise errors[lanes[0]]
            if absence == "forgotten":
                self._lanes, self._fallback = [fallback], None
                self._add(fallback, fallback.open(self._closing))
            else:
                self._use_fallback()
        for lane, error in errors.items():
            then = "the CPU is used" if absence == "forgotten" else "it is tried again"
            _log.warning("%s: %s; %s", model, error.said_of(lane.device), then)
            if absence != "forgotten":
                self.away = error.message
                self._recover(lane)

    @property
    def engine(self) -> Engine:
        """One that is in use.

        Raises:
            AcceleratorError: There is none at the moment.
        """
        for lane in self._all():
            engine = lane.engine
            if engine is not None:
                return engine
        raise self._nothing_left()

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the devices in use; from any thread."""
        used = tuple(lane.device for lane in self._lanes if lane.engine is not None)
        fallback = self._fallback
        return used or ((fallback.device,) if fallback is not None and fallback.engine else ())

    @property
    def slots(self) -> int:
        """How many frames may be under way at a time when all devices are there."""
        return max(1, sum(lane.engine.session.slots if lane.engine else 2 for lane in self._lanes))

    def take(self, *, spare: bool = False) -> Place:
        """Wait for a place.

        Args:
            spare: For a frame that a device has failed with: the one place more, which is
                given back as soon as its frame is done.

        Raises:
            AcceleratorError: All devices are away, and nothing stands in for them.
        """
        free = self._spare if spare else self._free
        with self._changed:
            while not free:
                if self._closing.is_set():
                    raise ValueError("the model must be open, got a closed one")
                if all(lane.engine is None for lane in self._lanes) and not self._standing_in():
                    self._use_fallback()
                    continue
                self._changed.wait(_LOOK_S)
            # Frames spread evenly: the second slot of a device waits for its first.
            place = min(free, key=lambda place: place.lane.taken)
            free.remove(place)
            place.lane.taken += 1
            return place

    def give_back(self, place: Place) -> None:
        """Let another frame have it."""
        with self._changed:
            place.lane.taken -= 1
            if place.lane is self._fallback and any(
                lane.engine is not None for lane in self._lanes
            ):
                self._retire_fallback()
            elif place.lane.engine is place.engine and not self._closing.is_set():
                self._places_of(place).append(place)
            self._changed.notify_all()

    def fail(self, place: Place, error: AcceleratorError) -> None:
        """Give a place back whose device has failed; the device is opened again."""
        with self._changed:
            lane, engine = place.lane, place.engine
            lane.taken -= 1
            first = lane.engine is engine
            if first:
                lane.end()
                self._drop(lane)
                self.away = error.message
            self._changed.notify_all()
        if first and not self._closing.is_set():
            left = ", ".join(self.devices) or (
                self._fallback.device if self._fallback else "nothing"
            )
            _log.warning("%s: %s; %s takes over", self._model, error.said_of(lane.device), left)
            self._recover(lane, engine)

    def close(self) -> None:
        """Close everything, once nobody is at work, or after some seconds."""
        self._closing.set()
        until_s = monotonic() + _CLOSE_S
        with self._changed:
            self._free.clear()
            self._spare.clear()
            self._changed.notify_all()
            lanes = self._all()
            while any(lane.taken for lane in lanes) and monotonic() < until_s:
                self._changed.wait(_LOOK_S)
            engines = [lane.engine for lane in lanes]
            for lane in lanes:
                lane.engine = None
        for engine in engines:
            if engine is not None:
                engine.session.close()

    def _all(self) -> list[Lane]:
        return [*self._lanes, self._fallback] if self._fallback else self._lanes

    def _try_to_open(self, lane: Lane) -> AcceleratorError | None:
        try:
            engine = lane.open(self._closing)
        except AcceleratorError as error:
            return error
        self._add(lane, engine)
        return None

    def _add(self, lane: Lane, engine: Engine) -> None:
        with self._changed:
            lane.begin(engine)
            for slot in range(engine.session.slots + 1):
                place = Place(lane, engine, slot)
                self._places_of(place).append(place)
            self._changed.notify_all()

    def _places_of(self, place: Place) -> list[Place]:
        return self._free if place.slot < place.engine.session.slots else self._spare

    def _drop(self, lane: Lane) -> None:
        """Give no more places of a lane away."""
        for places in (self._free, self._spare):
            places[:] = [place for place in places if place.lane is not lane]

    def _standing_in(self) -> bool:
        return self._fallback is not None and self._fallback.engine is not None

    def _use_fallback(self) -> None:
        if self._fallback is None:
            raise self._nothing_left()
        self._add(self._fallback, self._fallback.open(self._closing))

    def _retire_fallback(self) -> None:
        """Close the fallback once nobody uses it; a device is back."""
        fallback = self._fallback
        if fallback is None or fallback.engine is None:
            return
        self._drop(fallback)
        if not fallback.taken:
            fallback.engine.session.close()
            fallback.engine = None

    def _recover(self, lane: Lane, failed: Engine | None = None) -> None:
        Thread(
            target=self._open_again, args=(lane, failed), name="edge-accelerator", daemon=True
        ).start()

    def _open_again(self, lane: Lane, failed: Engine | None) -> None:
        began_ns = monotonic_ns()
        if failed is not None:
            # Only now: whoever found the failure has a frame in hand.
            failed.session.close()
        while not self._closing.wait(lane.next_wait_s()):
            try:
                engine = lane.open(self._closing)
            except EdgeDetectError as error:
                _log.debug("%s: %s", self._model, error.said_of(lane.device))
                self.away = error.message
                continue
            with self._changed:
                closing = self._closing.is_set()
                if not closing:
                    self._add(lane, engine)
                    self._retire_fallback()
                    self.away = next((self.away for each in self._lanes if not each.engine), "")
            if closing:
                engine.session.close()
            else:
                away_s = (monotonic_ns() - began_ns) / 1e9
                _log.info("%s: %s is back after %.0f s", self._model, lane.device, away_s)
            return

    def _nothing_left(self) -> AcceleratorError:
        devices = ", ".join(lane.device for lane in self._lanes)
        return AcceleratorError(f"{devices} is away, and nothing stands in for it: {self.away}")
