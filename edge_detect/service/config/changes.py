"""What a new configuration changes."""

from dataclasses import dataclass

from edge_detect.service.config.settings import CameraSettings, Settings

__all__ = ["Changes", "find_changes"]


@dataclass(slots=True, frozen=True)
class Changes:
    """What differs from one configuration to the next.

    Attributes:
        added: Names of cameras that are new, in the order of the file.
        removed: Names of cameras that are gone.
        changed: Names of cameras that have to be started anew: with other settings, or with a
            shared detector of other settings.
        unchanged: Names of cameras that can go on.
        sections: Names of the other tables that differ: `mqtt`, `web`, `logging` and so on.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    sections: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.sections)


def find_changes(old: Settings, new: Settings) -> Changes:
    """Compare two configurations; secrets count by what they are.

    Args:
        old: What runs.
        new: What is to run.
    """
    kept = [name for name in new.cameras if name in old.cameras]
    changed = {
        name
        for name in kept
        if old.cameras[name] != new.cameras[name]
        or _detector(old, old.cameras[name]) != _detector(new, new.cameras[name])
    }
    others = set(Settings.model_fields) - {"cameras", "detectors"}
    return Changes(
        added=tuple(name for name in new.cameras if name not in old.cameras),
        removed=tuple(name for name in old.cameras if name not in new.cameras),
        changed=tuple(name for name in kept if name in changed),
        unchanged=tuple(name for name in kept if name not in changed),
        sections=frozenset(key for key in others if getattr(old, key) != getattr(new, key)),
    )


def _detector(settings: Settings, camera: CameraSettings) -> object:
    return settings.detectors.get(camera.detector)
