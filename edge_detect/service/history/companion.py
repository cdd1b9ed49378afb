"""Writes the history while the cameras run."""

from collections.abc import Iterable
from threading import Event as Signal
from threading import Lock, Thread

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.service.companion import CameraView, Companion, ServiceView
from edge_detect.service.config.settings import HistorySettings
from edge_detect.service.history.disk import DiskThread
from edge_detect.service.history.files import metrics_directory
from edge_detect.service.history.meter import BoardMeter, CameraMeter
from edge_detect.service.history.record import Moment, Row, moment_now
from edge_detect.service.history.writer import HistoryWriter

__all__ = ["HistoryCompanion"]

# How often it looks whether sources are live, hot and throttled: shorter moments are missed.
_LOOK_S = 5.0
_BYTES_PER_MB = 1_000_000
# `stop` is to return within a second.
_STOP_S = 0.4


class HistoryCompanion(Companion):
    """Writes one line for each camera and interval to `<state directory>/metrics`.

    Args:
        settings: The section `[history]`.
    """

    def __init__(self, settings: HistorySettings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._meters: dict[str, CameraMeter] = {}
        self._board = BoardMeter()
        self._ending = Signal()
        self._service: ServiceView | None = None
        self._reloads = 0
        self._disk: DiskThread | None = None
        self._thread: Thread | None = None

    def start(self, service: ServiceView) -> None:
        """Begin; a directory that cannot be written is tried again for ever."""
        settings = self._settings
        if not settings.enabled:
            return
        self._service, self._reloads = service, service.reloads
        directory = metrics_directory(service.state_directory)
        keep_bytes = settings.keep_mb * _BYTES_PER_MB
        self._disk = DiskThread(HistoryWriter(directory, settings.keep_days, keep_bytes))
        now = moment_now()
        ago_s = (monotonic_ns() - service.started_ns) / NS_PER_S
        started = Moment(now.unix_s - ago_s, now.up_s - ago_s, now.boot)
        self._disk.put([Row(started, event="start")])
        self._thread = Thread(target=self._run, name="edge-history", daemon=True)
        self._thread.start()

    def add_camera(self, camera: CameraView) -> None:
        """Have lines written for a camera."""
        if self._disk is not None:
            with self._lock:
                self._meters[camera.name] = CameraMeter(camera, monotonic_ns())
                self._disk.put([Row(moment_now(), camera.name, event="added")])

    def remove_camera(self, camera: CameraView) -> None:
        """Write the last line for a camera."""
        with self._lock:
            meter = self._meters.pop(camera.name, None)
            if meter is not None and self._disk is not None:
                removed = Row(moment_now(), camera.name, event="removed")
                self._disk.put([*self._rows([meter], {}), removed])

    def stop(self) -> None:
        """Write the last lines; they are lost if the disk does not take them at once."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
            self._thread = None
        if self._disk is not None:
            with self._lock:
                rows = self._rows(self._meters.values(), self._board.finish())
                self._meters.clear()
            self._disk.put([*rows, Row(moment_now(), event="stop")])
            self._disk.stop(_STOP_S)
            self._disk = None

    def trouble(self) -> str:
        """Which thread has ended; a disk that fails is no reason to start all anew."""
        threads = (
            self._thread is None or self._thread.is_alive(),
            self._disk is None or self._disk.alive,
        )
        return "" if all(threads) else "a thread of the history has ended"

    def _run(self) -> None:
        looks = max(1, round(self._settings.interval_s / _LOOK_S))
        step_ns = round(self._settings.interval_s * NS_PER_S / looks)
        began_ns, seen = monotonic_ns(), 0
        while True:
            due_ns = began_ns + (seen + 1) * step_ns
            if self._ending.wait(max(0, due_ns - monotonic_ns()) / NS_PER_S):
                return
            # What was slept through is not caught up.
            now = (monotonic_ns() - began_ns) // step_ns
            self._look(finish=now // looks > seen // looks)
            seen = now

    def _look(self, *, finish: bool) -> None:
        service, disk = self._service, self._disk
        if service is None or disk is None:
            return
        reading = service.board()
        with self._lock:
            self._board.look(reading)
            for meter in self._meters.values():
                meter.look()
            if not finish:
                return
            rows = self._rows(self._meters.values(), self._board.finish())
        if service.reloads != self._reloads:
            self._reloads = service.reloads
            rows.append(Row(moment_now(), event="reload"))
        disk.put(rows)

    @staticmethod
    def _rows(meters: Iterable[CameraMeter], board: dict[str, float | None]) -> list[Row]:
        now, now_ns = moment_now(), monotonic_ns()
        rows = []
        for meter in meters:
            seen = meter.finish(now_ns)
            if seen is None:
                continue
            source, figures = seen
            rows.append(Row(now, meter.camera.name, source=source, figures={**figures, **board}))
        return rows
