"""What a reload has to do."""

from typing import Any

from edge_detect.service.config.changes import Changes, find_changes
from edge_detect.service.config.settings import Settings


def settings(cameras: dict[str, dict[str, Any]], **tables: Any) -> Settings:
    """Cameras with whatever they need beside what is given."""
    needed = {"source": "camera://", "model": "m"}
    full = {name: needed | given for name, given in cameras.items()}
    return Settings.model_validate({"cameras": full, **tables})


def test_the_same_file_changes_nothing() -> None:
    one, other = (settings({"a": {}, "b": {}}, web={"token": "12345678"}) for _ in range(2))
    changes = find_changes(one, other)
    assert changes == Changes(unchanged=("a", "b"))
    assert not changes


def test_cameras_are_told_apart_by_what_has_to_be_done_with_them() -> None:
    old = settings({"gone": {}, "same": {}, "other": {"threshold": 0.5}})
    new = settings({"other": {"threshold": 0.6}, "new": {}, "same": {}})
    assert find_changes(old, new) == Changes(
        added=("new",), removed=("gone",), changed=("other",), unchanged=("same",)
    )
    assert find_changes(old, new)


def test_a_camera_changes_with_its_detector_and_not_with_others() -> None:
    cameras = {
        "a": {"model": "", "detector": "one"},
        "b": {"model": "", "detector": "two"},
        "c": {},
    }
    old = settings(cameras, detectors={"one": {"model": "m"}, "two": {"model": "m"}})
    new = settings(cameras, detectors={"one": {"model": "m", "threads": 2}, "two": {"model": "m"}})
    changes = find_changes(old, new)
    assert (changes.changed, changes.unchanged) == (("a",), ("b", "c"))
    assert changes.sections == frozenset()


def test_secrets_count_by_what_they_are() -> None:
    def with_password(word: str) -> Settings:
        camera = {"source_user": "me", "source_password": word}
        return settings({"a": camera}, web={"user": "me", "password": word})

    assert not find_changes(with_password("one"), with_password("one"))
    changes = find_changes(with_password("one"), with_password("two"))
    assert changes.changed == ("a",)
    assert changes.sections == {"web"}


def test_tables_that_come_go_or_differ_are_named() -> None:
    old = settings({"a": {}}, mqtt={"host": "b"}, thermal={"limit_c": 70})
    new = settings({"a": {}}, web={}, thermal={"limit_c": 71}, logging={"level": "info"})
    assert find_changes(old, new).sections == {"mqtt", "web", "thermal"}
    assert find_changes(old, new).unchanged == ("a",)
