"""Asking all questions at a time, none of which can hold or break the others."""

import os
import time
from collections.abc import Iterator, Sequence
from threading import Event, Semaphore, Thread

from edge_detect.core import EdgeDetectError
from edge_detect.tools.doctor.finding import Check, Finding, fail
from edge_detect.tools.doctor.place import Place

__all__ = ["examine"]

_LOOK_S = 0.05


def examine(checks: Sequence[Check], place: Place) -> Iterator[tuple[str, Finding]]:
    """Make all checks, as many at a time as there are cores.

    Args:
        checks: What is asked, in the order of the answers.
        place: Of what.

    Yields:
        The section and one finding. A check that takes too long or raises gives one that
        says so.
    """
    free = Semaphore(max(2, len(os.sched_getaffinity(0))))
    running = [_Running(check, place, free) for check in checks]
    for each in running:
        for finding in each.findings():
            yield each.check.section, finding


class _Running:
    """One check in a thread of its own, which is left behind if it never ends."""

    def __init__(self, check: Check, place: Place, free: Semaphore) -> None:
        self.check = check
        self._place = place
        self._limit_s = check.timeout_s * place.patience
        self._free = free
        self._found: list[Finding] = []
        self._began_s: float | None = None
        self._done = Event()
        Thread(target=self._run, name=f"edge-doctor-{check.name}", daemon=True).start()

    def findings(self) -> list[Finding]:
        """What was found, once it is."""
        while not self._done.wait(_LOOK_S):
            began_s = self._began_s
            if began_s is not None and time.monotonic() - began_s > self._limit_s:
                # Its place goes to another one.
                self._free.release()
                return [
                    fail(
                        self.check.name,
                        f"no answer within {self._limit_s:g} s",
                        "a device or disk that hangs? `dmesg` may tell more",
                    )
                ]
        return self._found

    def _run(self) -> None:
        with self._free:
            self._began_s = time.monotonic()
            try:
                self._found = list(self.check.work(self._place))
            except EdgeDetectError as error:
                self._found = [fail(self.check.name, error.message, error.hint)]
            except Exception as error:  # noqa: BLE001 - any defect becomes a line of the report
                self._found = [_defect(self.check.name, error)]
            finally:
                self._done.set()


def _defect(name: str, error: Exception) -> Finding:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return fail(name, f"the check itself failed: {text}", "a defect of edge-detect: report it")
