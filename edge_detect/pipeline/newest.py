"""Which detections a picture is drawn with when the detector does not keep up."""

from threading import Condition

from edge_detect.core import NS_PER_MS, NS_PER_S, Frame, Result, monotonic_ns

__all__ = ["Newest"]

# A picture waits for its own detections for this part of the time between two pictures,
# counted from its capture, if the detector has mostly been that quick. Nobody sees such a
# delay, while boxes that trail by a frame are seen at once: at 10 fps, a tenth of a second.
_PATIENCE = 0.6
_FIRST_INTERVAL_NS = 33 * NS_PER_MS
_LONGEST_NS = 60 * NS_PER_MS
# Boxes that are older than this are not drawn: the source was away, or the detector hangs.
_OLDEST_BOXES_NS = 2 * NS_PER_S
# Share of a new duration in the running mean of the last ones.
_WEIGHT = 8


class Newest:
    """The newest result, from the detector's thread to the one that draws."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._result: Result | None = None
        self._usual_ns = 0
        self._interval_ns = _FIRST_INTERVAL_NS
        self._last_ns: int | None = None

    def put(self, result: Result) -> None:
        """Replace the newest result."""
        with self._changed:
            self._usual_ns += (result.capture_to_detect_ns - self._usual_ns) // _WEIGHT
            self._result = result
            self._changed.notify()

    def clear(self) -> None:
        """Forget the newest result: detection was switched off."""
        with self._changed:
            self._result = None

    def result_for(self, frame: Frame) -> Result | None:
        """The frame's own result where it comes soon, else the newest.

        Returns:
            None where there are no detections that still say something about this frame:
            before the first, after the source was away, and when its size has changed.
        """
        patience_ns = self._patience_ns(frame)
        with self._changed:
            while self._behind(frame, patience_ns):
                left_ns = frame.captured_ns + patience_ns - monotonic_ns()
                if left_ns <= 0 or not self._changed.wait(left_ns / NS_PER_S):
                    break
            result = self._result
        if result is None or result.frame.size != frame.size:
            return None
        old = frame.captured_ns - result.frame.captured_ns > _OLDEST_BOXES_NS
        return None if old else result

    def _patience_ns(self, frame: Frame) -> int:
        last_ns, self._last_ns = self._last_ns, frame.captured_ns
        if last_ns is not None and 0 < frame.captured_ns - last_ns < NS_PER_S:
            self._interval_ns += (frame.captured_ns - last_ns - self._interval_ns) // _WEIGHT
        return min(_LONGEST_NS, round(self._interval_ns * _PATIENCE))

    def _behind(self, frame: Frame, patience_ns: int) -> bool:
        """Whether the frame's own result may yet come in time."""
        if self._result is None or self._usual_ns > patience_ns:
            return False
        return self._result.frame.sequence < frame.sequence
