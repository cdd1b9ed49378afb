"""One MP4 file that plays whatever happens to the process, the disk or the power."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import av
import av.container
import av.error
import av.logging

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.sinks.access_units import AccessUnit, add_video_stream
from edge_detect.sinks.h264 import parameter_sets
from edge_detect.sinks.recorder.disk import FULL
from edge_detect.sinks.yuv import TICKS_PER_S

__all__ = ["SegmentFile"]

# Written as fragments of a second, each at once; the end makes an ordinary MP4 of them, with
# an index for the whole, for players that know no fragments.
_MUXER = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+hybrid_fragmented",
    "frag_duration": "1000000",
    "flush_packets": "1",
}
# A fragment goes out in one write call where it fits in here.
_BUFFER_BYTES = 1 << 20
_SYNC_NS = NS_PER_S


class SegmentFile:
    """Puts access units into a file, without encoding anything again.

    Args:
        file: Descriptor of an empty file, open to write and read; closed by `close`.
        first: Its first unit, a key frame.
        make_room: Called when the disk is full; says whether it is worth trying again.

    Raises:
        OSError: The system refuses; the descriptor is closed.
    """

    def __init__(self, file: int, first: AccessUnit, make_room: Callable[[], bool]) -> None:
        self._sets = parameter_sets(first.data)
        self.frames = 0
        self._origin_ns = 0
        self._last_duration_ns = NS_PER_S // 25
        self._held: tuple[AccessUnit, int] | None = None
        self._disk = _DiskFile(file, make_room)
        self._synced_ns = monotonic_ns()
        av.logging.set_level(av.logging.PANIC)
        try:
            self._container = av.open(
                self._disk,
                "w",
                format="mp4",
                container_options=_MUXER,
                buffer_size=_BUFFER_BYTES,
            )
            self._stream = add_video_stream(self._container, first)
            self._stream.time_base = Fraction(1, TICKS_PER_S)
        except BaseException:
            self._disk.close()
            raise

    @property
    def bytes(self) -> int:
        """Length of the file; what belongs to the running fragment is not in it yet."""
        return self._disk.length

    def fits(self, unit: AccessUnit) -> bool:
        """Whether a unit can be in the same video: not after a change of size or encoder."""
        return not unit.key or parameter_sets(unit.data) == self._sets

    def add(self, unit: AccessUnit, at_ns: int) -> bool:
        """Add a unit.

        It is written when the next one tells how long it is shown.

        Args:
            unit: The next one.
            at_ns: When it is shown, on a time line that only grows.

        Returns:
            Whether a fragment went to the disk.

        Raises:
            OSError: The disk is full or the like.
        """
        before = self._disk.length
        if self._held is None:
            self._origin_ns = at_ns
        else:
            self._mux(at_ns)
        self._held = (unit, at_ns)
        self.frames += 1
        written = self._disk.length > before
        if written and before:
            # What is written first is the header, which alone is no video.
            self._disk.good = self._disk.length
            if monotonic_ns() - self._synced_ns > _SYNC_NS:
                self._disk.sync()
                self._synced_ns = monotonic_ns()
        return written

    def finish(self, end_ns: int | None = None) -> int:
        """Write the last unit and the index of the whole.

        Args:
            end_ns: When the first unit after it is shown; None where nothing follows, then
                the last is shown as long as the one before.

        Returns:
            The end on the time line.

        Raises:
            OSError: The disk is full or the like.
        """
        if self._held is None:
            raise ValueError("a file without units cannot be finished")
        end_ns = self._held[1] + self._last_duration_ns if end_ns is None else end_ns
        self._mux(end_ns)
        self._held = None
        self._container.close()
        self._disk.sync()
        return end_ns

    def close(self) -> bool:
        """Close the file; without `finish`, or if that failed, at its last whole fragment.

        Returns:
            Whether there is anything in it.
        """
        self._disk.refuse()
        # The muxer must have come to its end before it is freed. What it still says is old.
        with suppress(OSError, av.error.FFmpegError):
            self._container.close()
        self._disk.close()
        return self._disk.good > 0

    def _mux(self, end_ns: int) -> None:
        """Write the unit that is held."""
        if self._held is None:
            raise ValueError("no unit is held")
        unit, at_ns = self._held
        packet = av.Packet(unit.data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, TICKS_PER_S)
        packet.pts = packet.dts = _ticks(at_ns - self._origin_ns)
        packet.duration = _ticks(end_ns - self._origin_ns) - packet.pts
        packet.is_keyframe = unit.key
        self._last_duration_ns = end_ns - at_ns
        self._container.mux(packet)


def _ticks(time_ns: int) -> int:
    return (time_ns * TICKS_PER_S + NS_PER_S // 2) // NS_PER_S


class _DiskFile:
    """What the muxer writes to.

    FFmpeg's own files would hold the interpreter's lock while the disk is slow, and would
    leave half a fragment on a full one.

    Args:
        file: The descriptor.
        make_room: Called when the disk is full.
    """

    def __init__(self, file: int, make_room: Callable[[], bool]) -> None:
        self._file = file
        self._make_room = make_room
        self.length = 0
        self.good = 0
        self.closed = False
        self._refusing = False

    def write(self, data: bytes) -> int:
        """Write all of it, if that can be done at all."""
        if self._refusing:
            # After a failure the muxer would write an end behind what is missing.
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                if error.errno in FULL and self._make_room():
                    continue
                self._refusing = True
                raise
        self.length = max(self.length, self.tell())
        return len(data)

    def read(self, count: int) -> bytes:
        """Read, as the muxer does to complete the file."""
        return os.read(self._file, count)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        return os.lseek(self._file, offset, whence)

    def tell(self) -> int:
        """Where the next bytes go."""
        return os.lseek(self._file, 0, os.SEEK_CUR)

    def sync(self) -> None:
        """Have what is written survive a power cut."""
        os.fdatasync(self._file)
        self.good = self.length

    def refuse(self) -> None:
        """Take nothing more."""
        self._refusing = True

    def close(self) -> None:
        """Cut off what is half written, and let go."""
        if self.closed:
            return
        self.closed = True
        try:
            if self.good < os.fstat(self._file).st_size:
                os.ftruncate(self._file, self.good)
        finally:
            os.close(self._file)
