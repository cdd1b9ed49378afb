"""Loaded models, shared by the cameras that want the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from edge_detect.core import StageError
from edge_detect.models import Detector, load_model
from edge_detect.service.config.settings import DetectorSettings

__all__ = ["Detectors"]


@dataclass(slots=True)
class _Share:
    """One loaded model and how many use it; the lock is held while it is loaded."""

    lock: Lock = field(default_factory=Lock)
    detector: Detector | None = None
    users: int = 0


class Detectors:
    """Loads each model once, however many cameras borrow it, and unloads it after the last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._shares: dict[DetectorSettings, _Share] = {}

    @contextmanager
    def borrow(self, settings: DetectorSettings) -> Iterator[Detector]:
        """A detector for as long as the `with` lasts.

        A detector that a pipeline could not be stopped with stays where it is: closing it
        would wait for ever.

        Raises:
            ModelError: The model cannot be used.
            DependencyError: The runtime is missing or does not fit.
        """
        with self._lock:
            share = self._shares.setdefault(settings, _Share())
            share.users += 1
        stuck = False
        try:
            with share.lock:
                if share.detector is None:
                    # `auto` would go before what the model's own options say.
                    wanted = settings.accelerator
                    share.detector = load_model(
                        settings.model,
                        accelerator=None if wanted == "auto" else wanted,
                        library=settings.library or None,
                        deadline_s=settings.deadline_s,
                        threads=settings.threads,
                        cores=settings.cores or None,
                        runtime=settings.runtime,
                    )
            yield share.detector
        except StageError as error:
            # Of a stage that failed, its name is known; what did not stop has none.
            stuck = not error.stage
            raise
        finally:
            self._give_back(settings, share, stuck=stuck)

    def _give_back(self, settings: DetectorSettings, share: _Share, *, stuck: bool) -> None:
        with self._lock:
            share.users -= 1
            last = share.users == 0
            if last or stuck:
                # Whoever comes next loads the model anew.
                self._shares.pop(settings, None)
        if last and not stuck and share.detector is not None:
            share.detector.close()
