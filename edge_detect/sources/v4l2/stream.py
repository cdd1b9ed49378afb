"""The stream of buffers between the driver and us."""

import contextlib
import errno
import mmap
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import NS_PER_S
from edge_detect.sources.v4l2 import calls
from edge_detect.sources.v4l2.structs import (
    BUF_FLAG_ERROR,
    BUF_FLAG_TIMESTAMP_MASK,
    BUF_FLAG_TIMESTAMP_MONOTONIC,
    Buffer,
)
from edge_detect.sources.wake import Wake

__all__ = ["CaptureStream", "Filled", "Numbering"]

# One is being read and one being filled; two more keep the driver going while we are late.
_BUFFERS = 4
_MOST_BUFFERS = 32
_LOST_EVENTS = select.POLLERR | select.POLLHUP | select.POLLNVAL
_NS_PER_US = 1000
_NOTHING = np.empty(0, np.uint8)


@dataclass(slots=True, eq=False)
class Filled:
    """A buffer that the driver has filled.

    Attributes:
        data: (n,) uint8, the bytes in the driver's memory; nothing once it was given back.
        sequence: Number of the frame, from 0; gaps are frames that were lost or skipped.
        stamp_ns: CLOCK_MONOTONIC time of capture; None where the driver uses another clock.
        starved: Whether the driver may have had no buffer left to fill, so that the camera's
            newest frames were lost and this is an older one.
        damaged: Whether the driver says that bytes are missing.
    """

    data: NDArray[np.uint8]
    sequence: int
    stamp_ns: int | None
    starved: bool
    damaged: bool


class Numbering:
    """Turns a driver's sequence numbers into ours, which start at 0 and always grow."""

    def __init__(self) -> None:
        self._driver = -1
        self._ours = -1

    def next(self, driver: int) -> int:
        """The number of the next frame.

        Args:
            driver: The driver's, of 32 bits; some drivers count wrongly or not at all.
        """
        step = (driver - self._driver) % 2**32 if self._ours >= 0 else 1
        self._driver = driver
        self._ours += step if 0 < step < 2**31 else 1
        return self._ours


class CaptureStream:
    """Buffers that circulate between the driver and us, mapped into our memory.

    Belongs to the thread that waits and borrows; only the wake may be set by others.

    Args:
        fd: The device, opened without blocking, its format set; it stays the caller's.
        wake: What ends a wait.

    Raises:
        OSError: The driver refuses.
    """

    def __init__(self, fd: int, wake: Wake) -> None:
        self._fd = fd
        self._maps: list[mmap.mmap] = []
        self._numbering = Numbering()
        self._lost = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(wake.fileno(), select.POLLIN)
        try:
            self._start()
        except OSError:
            self.close()
            raise

    def wait(self, timeout_s: float) -> None:
        """Wait until a buffer is ready, the device is lost or the wake is set.

        Args:
            timeout_s: Longest wait.
        """
        for fd, events in self._poll.poll(max(0.0, timeout_s) * 1000):
            if fd == self._fd and events & _LOST_EVENTS:
                self._lost = True

    @contextlib.contextmanager
    def newest(self) -> Iterator[Filled | None]:
        """Borrow the newest buffer that is ready; the older ones go back unseen.

        Yields:
            The buffer, which goes back to the driver at the end of the `with`; None if none
            is ready.

        Raises:
            OSError: The device was unplugged or failed.
        """
        buffer, sequence, taken = None, 0, 0
        while taken < len(self._maps):
            following = calls.dequeue(self._fd)
            if following is None:
                break
            if buffer is not None:
                calls.queue(self._fd, buffer.index)
            buffer, sequence, taken = following, self._numbering.next(following.sequence), taken + 1
        if buffer is None:
            if self._lost:
                # Something is wrong with a device that signals an error and has no frame;
                # asking on would be a loop without a wait.
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            yield None
            return
        # One more may have been with us for too long a time.
        starved = taken >= max(2, len(self._maps) - 1)
        filled = self._filled(buffer, sequence, starved=starved)
        try:
            yield filled
        finally:
            # The memory is the driver's again, and an array would keep it from being unmapped.
            filled.data = _NOTHING
            calls.queue(self._fd, buffer.index)

    def close(self) -> None:
        """Stop the driver and unmap the buffers; may be called twice."""
        # All of these fail, and need not succeed, once the device is unplugged.
        with contextlib.suppress(OSError):
            calls.stop_stream(self._fd)
        for mapped in self._maps:
            # The traceback of an error may still hold an array; the mapping goes with it.
            with contextlib.suppress(BufferError):
                mapped.close()
        self._maps.clear()
        with contextlib.suppress(OSError):
            calls.request_buffers(self._fd, 0)

    def _start(self) -> None:
        count = calls.request_buffers(self._fd, _BUFFERS)
        if not 2 <= count <= _MOST_BUFFERS:
            raise OSError(errno.ENOMEM, f"the driver gives {count} buffers")
        for index in range(count):
            place = calls.query_buffer(self._fd, index)
            # The length that the driver tells here is right even where `sizeimage` is not.
            mapped = mmap.mmap(self._fd, place.length, mmap.MAP_SHARED, offset=place.offset)
            self._maps.append(mapped)
        for index in range(count):
            calls.queue(self._fd, index)
        calls.start_stream(self._fd)

    def _filled(self, buffer: Buffer, sequence: int, *, starved: bool) -> Filled:
        mapped = self._maps[buffer.index]
        used = min(buffer.bytesused, len(mapped))
        clock = buffer.flags & BUF_FLAG_TIMESTAMP_MASK
        stamp_ns = buffer.tv_sec * NS_PER_S + buffer.tv_usec * _NS_PER_US
        return Filled(
            np.frombuffer(mapped, np.uint8, used),
            sequence,
            stamp_ns if clock == BUF_FLAG_TIMESTAMP_MONOTONIC else None,
            starved,
            bool(buffer.flags & BUF_FLAG_ERROR),
        )
