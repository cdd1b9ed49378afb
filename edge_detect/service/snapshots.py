"""Single pictures on demand."""

from threading import Condition

import cv2

from edge_detect.core import NS_PER_S, Picture, SinkError, monotonic_ns
from edge_detect.sinks import Sink, StreamInfo

__all__ = ["SnapshotSink"]

_QUALITY = 88


class SnapshotSink(Sink):
    """Takes a picture when somebody asks for one, and none otherwise.

    Args:
        name: Of the camera.
    """

    takes_pictures = True
    listed = False

    def __init__(self, name: str) -> None:
        self.name = f"snapshots of {name}"
        self._changed = Condition()
        self._waiting = 0
        self._taken = 0
        self._jpeg = b""

    @property
    def wants_picture(self) -> bool:
        """Whether anybody waits for one."""
        return self._waiting > 0

    def take(self, timeout_s: float) -> bytes | None:
        """The next picture as JPEG; None when none came within `timeout_s`."""
        deadline_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        with self._changed:
            before = self._taken
            self._waiting += 1
            try:
                while self._taken == before:
                    left_s = (deadline_ns - monotonic_ns()) / NS_PER_S
                    if left_s <= 0:
                        return None
                    self._changed.wait(left_s)
                return self._jpeg
            finally:
                self._waiting -= 1

    def open(self, stream: StreamInfo) -> None:
        """Nothing to be done."""

    def write_picture(self, picture: Picture) -> None:
        """Encode it for those who wait.

        Raises:
            SinkError: It cannot be encoded.
        """
        done, data = cv2.imencode(".jpg", picture.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise SinkError(f"a picture of {picture.size} cannot be encoded as JPEG")
        with self._changed:
            self._jpeg = data.tobytes()
            self._taken += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing to be done."""
