"""The sinks of a running pipeline: what each is fed, and how they come and go."""

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock
from typing import Any

from edge_detect.core import EdgeDetectError, Picture, Result, StageError
from edge_detect.pipeline.crew import Crew
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.outlet import Outlet
from edge_detect.sinks import Sink, StreamInfo

__all__ = ["Feeds"]

# Results are small and do not grow old in the way pictures do.
_RESULTS, _RESULTS_AND_PICTURES = 16, 4
_DETACH_S = 1.0

Feed = tuple[Outlet, "Mailbox[Any]"]
MakeBox = Callable[[int, int], "Mailbox[Any]"]


class Feeds:
    """Owns the sinks' threads and mailboxes.

    Args:
        crew: Runs the threads.
        make_box: Makes a mailbox of a capacity (in mode `live`) for a number of writers.
        live: Whether failed sinks are kept apart and opened again.
        given_up: Called when a sink that was given at the start has failed for good.

    Attributes:
        outlets: All, in the order in which they came.
        results: Those that take results, each with its box.
        pictures: Those that take pictures, each with its box.
    """

    def __init__(
        self,
        crew: Crew,
        make_box: MakeBox,
        *,
        live: bool,
        given_up: Callable[[EdgeDetectError], None],
    ) -> None:
        self._crew = crew
        self._make_box = make_box
        self._live = live
        self._given_up = given_up
        self._lock = Lock()
        self._threads: dict[Outlet, tuple[Mailbox[Any], Event]] = {}
        # A sink may come just after the last frame of a source that ends.
        self._results_ended = self._pictures_ended = False
        # Replaced as a whole, so that stages may go through them without a lock.
        self.outlets: tuple[Outlet, ...] = ()
        self.results: tuple[Feed, ...] = ()
        self.pictures: tuple[Feed, ...] = ()

    def open(self, sink: Sink, stream_for: Callable[[Outlet], StreamInfo]) -> None:
        """Open a sink before the start.

        Raises:
            EdgeDetectError: It cannot be opened, and trying again would not help.
        """
        outlet = Outlet(sink, retry=self._live, given_up=self._given_up)
        self.outlets = (*self.outlets, outlet)
        outlet.open(stream_for(outlet))

    def start(self) -> None:
        """Create the threads of all sinks so far."""
        for outlet in self.outlets:
            self._add(outlet)

    def attach(self, sink: Sink, stream_for: Callable[[Outlet], StreamInfo]) -> None:
        """Add a sink while everything runs; it is opened in its own thread."""
        outlet = Outlet(sink, retry=True, given_up=_leave_alone)
        outlet.open_soon(stream_for(outlet))
        with self._lock:
            self.outlets = (*self.outlets, outlet)
            self._add(outlet)

    def detach(self, sink: Sink) -> None:
        """Close a sink while everything runs.

        Raises:
            StageError: It did not come to its end within a second.
        """
        with self._lock:
            outlet = next((each for each in self.outlets if each.sink is sink), None)
            if outlet is None:
                return
            self.outlets = tuple(each for each in self.outlets if each is not outlet)
            self.results = tuple(feed for feed in self.results if feed[0] is not outlet)
            self.pictures = tuple(feed for feed in self.pictures if feed[0] is not outlet)
            box, ended = self._threads.pop(outlet)
        self._crew.drop_box(box)
        box.abort()
        if not self._crew.release(ended, _DETACH_S) and not outlet.opening:
            raise StageError(f"{sink.name} did not close within {_DETACH_S:g} s")

    def publish(self, result: Result) -> None:
        """Hand a result to every sink that takes results."""
        for outlet, box in self.results:
            if outlet.open_now:
                _offer(outlet, box, result)

    def wanting_pictures(self) -> list[Feed]:
        """The sinks to which a picture would be of use now."""
        return [feed for feed in self.pictures if feed[0].wants_picture]

    @staticmethod
    def show(picture: Picture, wanting: list[Feed]) -> None:
        """Hand a picture to some sinks."""
        for outlet, box in wanting:
            _offer(outlet, box, picture)

    def finish_results(self) -> None:
        """Say that no more results come."""
        with self._lock:
            self._results_ended = True
            for _, box in self.results:
                box.finish()

    def finish_pictures(self) -> None:
        """Say that no more pictures come."""
        with self._lock:
            self._pictures_ended = True
            for _, box in self.pictures:
                box.finish()

    def busy_ns(self, now_ns: int) -> dict[str, int]:
        """For how long each sink has been at work on one picture or result."""
        with self._lock:
            threads = list(self._threads.items())
        return {
            outlet.sink.name: box.busy_ns(now_ns)
            for outlet, (box, _) in threads
            if not outlet.opening
        }

    def _add(self, outlet: Outlet) -> None:
        sink = outlet.sink
        if not sink.takes_results:
            box = self._make_box(1, 1)
        elif not sink.takes_pictures:
            box = self._make_box(_RESULTS, 1)
        else:
            # One box for both, so that the sink needs one thread.
            box = self._make_box(_RESULTS_AND_PICTURES, 2)
        ended = self._crew.add(sink.name, lambda: outlet.run(box), outlet.close)
        self._threads[outlet] = (box, ended)
        if sink.takes_results:
            self.results = (*self.results, (outlet, box))
            if self._results_ended:
                box.finish()
        if sink.takes_pictures:
            self.pictures = (*self.pictures, (outlet, box))
            if self._pictures_ended:
                box.finish()


def _offer(outlet: Outlet, box: "Mailbox[Any]", item: Result | Picture) -> None:
    # A closed box is that of a sink that was just detached, or everything stops.
    with suppress(Closed):
        if box.put(item) is not None:
            outlet.dropped += 1


def _leave_alone(_error: EdgeDetectError) -> None:
    """Whoever attached a sink sees its state."""
