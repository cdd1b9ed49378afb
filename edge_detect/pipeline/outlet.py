"""One sink in a running pipeline: its thread, its mailbox, and what happens when it fails."""

import logging
from collections.abc import Callable
from contextlib import suppress

from edge_detect.core import (
    NS_PER_S,
    EdgeDetectError,
    Picture,
    Result,
    SinkError,
    SinkStatus,
    StageError,
    monotonic_ns,
)
from edge_detect.core.backoff import Backoff
from edge_detect.core.status import SinkState
from edge_detect.pipeline.mailbox import Closed, Mailbox
from edge_detect.pipeline.statistics import RateMeter, RecentHistogram
from edge_detect.pipeline.totals import SinkTotals
from edge_detect.sinks import Sink, StreamInfo

__all__ = ["Outlet"]

_log = logging.getLogger(__name__)


class Outlet:
    """Delivers results and pictures to one sink.

    Args:
        sink: What to deliver to; the outlet opens and closes it.
        retry: Whether a failed sink leaves the rest of the pipeline alone, and is opened
            again with growing waits where its error is transient. False passes every error.
        given_up: Called when the sink has failed for good, with the error.
        backoff: How long to wait before each try; None for half a second to half a minute.

    Attributes:
        sink: The sink.
        encoded: Rate at which pictures leave its encoder.
        capture_to_encode: Their age then.
        dropped: Pictures and results that it was too slow for.
        opening: Whether it is about to open the sink again, which may take the seconds that a
            network allows itself; nobody has to wait for that.
        on_encoded: Called with `captured_ns` and the time now for each picture that left the
            sink's encoder, for whoever measures; must return at once.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        retry: bool,
        given_up: Callable[[EdgeDetectError], None],
        backoff: Backoff | None = None,
    ) -> None:
        self.sink = sink
        self.encoded = RateMeter()
        self.capture_to_encode = RecentHistogram()
        self.dropped = 0
        self.opening = False
        self.on_encoded: Callable[[int, int], None] = _nothing
        self._retry = retry
        self._given_up = given_up
        self._backoff = Backoff() if backoff is None else backoff
        self._state: SinkState = "closed"
        self._reason = ""
        self._failures = 0
        self._transient = False
        self._opened_ns = 0
        self._stream: StreamInfo | None = None

    @property
    def wants_picture(self) -> bool:
        """Whether a picture would be of use to it now."""
        return self._state == "open" and self.sink.wants_picture

    @property
    def open_now(self) -> bool:
        """Whether it takes anything at the moment."""
        return self._state == "open"

    @property
    def dead(self) -> bool:
        """Whether it failed for good."""
        return self._state == "failed" and not self._transient

    def count_encoded(self, captured_ns: int) -> None:
        """Count a picture that left the sink's encoder.

        Args:
            captured_ns: When its frame was captured.
        """
        now_ns = monotonic_ns()
        self.encoded.add(now_ns)
        self.capture_to_encode.add(now_ns - captured_ns)
        self.on_encoded(captured_ns, now_ns)

    def open(self, stream: StreamInfo) -> None:
        """Open the sink for the first time.

        Raises:
            EdgeDetectError: It cannot be opened, and trying again would not help.
        """
        self._stream = stream
        try:
            self.sink.open(stream)
        except SinkError as error:
            if not (self._retry and error.transient):
                raise
            self._fail(error)
        else:
            self._state, self._opened_ns = "open", monotonic_ns()

    def open_soon(self, stream: StreamInfo) -> None:
        """Have `run` open the sink, so that nobody else waits for it."""
        self._stream, self._transient = stream, True

    def run(self, box: Mailbox[Result | Picture]) -> None:
        """Deliver what comes until the mailbox is closed.

        Args:
            box: Results and pictures for the sink.

        Raises:
            Closed: The mailbox is.
            EdgeDetectError: The sink failed, and failures are not to be kept apart.
        """
        while True:
            if self._state == "open":
                item = box.get()
                self._write(item)
                # The name would keep a buffer from its pool during the next wait.
                del item
            elif not self._reopen(box):
                return

    def close(self) -> None:
        """Close the sink.

        Raises:
            SinkError: The last data could not be written.
        """
        if self._state != "failed":
            self._state = "closed"
        self.sink.close()

    def totals(self) -> SinkTotals:
        """What it has counted so far; may be asked from any thread."""
        return SinkTotals(
            self.encoded.count,
            self.dropped + self.sink.dropped,
            self._failures,
            self.capture_to_encode.copy(),
        )

    def status(self) -> SinkStatus:
        """What is known about it now; may be asked from any thread."""
        return SinkStatus(
            self.sink.name,
            self._state,
            self._reason,
            self._failures,
            self.encoded.per_second(),
            self.dropped + self.sink.dropped,
            self.sink.viewers,
            self.capture_to_encode.recent(),
        )

    def _write(self, item: Result | Picture) -> None:
        try:
            if isinstance(item, Picture):
                self.sink.write_picture(item)
            else:
                self.sink.write_result(item)
        except (Closed, KeyboardInterrupt):
            raise
        except Exception as error:
            if not self._retry:
                raise
            self._fail(_as_known(error))

    def _reopen(self, box: Mailbox[Result | Picture]) -> bool:
        """Try to open a failed sink once more.

        Returns:
            False when it has failed for good.
        """
        if not self._transient or self._stream is None:
            return False
        if self._failures:
            _drop_for(box, self._backoff.next_s())
        self.opening = True
        try:
            self.sink.open(self._stream)
        except Exception as error:  # noqa: BLE001 - classified, reported and counted
            self.opening = False
            self._fail(_as_known(error))
        else:
            self.opening = False
            if self._failures:
                _log.warning("%s: works again", self.sink.name)
            self._state, self._reason, self._opened_ns = "open", "", monotonic_ns()
        return True

    def _fail(self, error: EdgeDetectError) -> None:
        new = error.message != self._reason
        if self._state == "open":
            self._backoff.worked_for(monotonic_ns() - self._opened_ns)
        self._state, self._reason = "failed", error.message
        self._transient = error.transient
        self._failures += 1
        try:
            self.sink.close()
        except SinkError:
            # What it still held is lost with it; why it failed is known already.
            pass
        except Exception:  # noqa: BLE001 - told, and nobody else is to suffer from it
            _log.exception("%s could not be closed", self.sink.name)
        said = error.said_of(self.sink.name)
        if not error.transient:
            defect = error.__cause__ if isinstance(error, StageError) else None
            _log.error("%s; the other outputs go on", said, exc_info=defect)
            self._given_up(error)
        elif new:
            # Said once for each reason: a server may be away for weeks.
            _log.warning("%s; trying again until it works", said)


def _nothing(_captured_ns: int, _encoded_ns: int) -> None:
    """Nobody measures."""


def _as_known(error: Exception) -> EdgeDetectError:
    if isinstance(error, EdgeDetectError):
        return error
    unforeseen = StageError(
        f"{type(error).__name__}: {error}", "this is a defect; please report it with the log"
    )
    unforeseen.__cause__ = error
    return unforeseen


def _drop_for(box: Mailbox[Result | Picture], seconds: float) -> None:
    """Wait, throwing away what comes; ends early when the mailbox is closed."""
    until_ns = monotonic_ns() + round(seconds * NS_PER_S)
    while (left_ns := until_ns - monotonic_ns()) > 0:
        with suppress(TimeoutError):
            box.get(timeout_s=left_ns / NS_PER_S)
