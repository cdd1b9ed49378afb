"""What is told about an event beside its video."""

import json

from support.set_clock import SetClock

from edge_detect.core import NS_PER_S, Detection, Size
from edge_detect.sinks.recorder.events import EventRules, EventStory, Sighting

RULES = EventRules(("person",), 0, NS_PER_S)


def story(path, clock):
    return EventStory(path / "clip.mp4", RULES, "camera", Size(2, 2), 0, 0, clock)


def sighting(captured_ns):
    return Sighting((Detection("person", 0, 0.5, (0, 0, 1, 1)),), captured_ns, 0, None)


def told(path):
    return json.loads((path / "clip.json").read_text())


def test_the_first_moment_after_boot_is_a_moment_like_others(tmp_path) -> None:
    clip = story(tmp_path, SetClock(up_s=0.0))
    clip.add(sighting(0), 0)
    clip.add(sighting(2 * NS_PER_S), 2 * NS_PER_S)
    clip.write(60, 3 * NS_PER_S, 3 * NS_PER_S, complete=True)
    facts = told(tmp_path)
    assert facts["first_detection"] == facts["start"] == facts["detections"]["person"]["time"]
    assert facts["last_detection"] > facts["first_detection"]


def test_without_a_detection_there_are_no_times_of_any(tmp_path) -> None:
    story(tmp_path, SetClock()).write(1, NS_PER_S, NS_PER_S, complete=True)
    facts = told(tmp_path)
    assert facts["first_detection"] is facts["last_detection"] is None
    assert facts["detections"] == {}


def test_times_are_right_after_the_clock_was_set_during_the_clip(tmp_path) -> None:
    clock = SetClock(unix_s=0.0, up_s=0.0)
    clip = story(tmp_path, clock)
    clip.add(sighting(0), 0)
    clip.write(1, 1, 1, complete=False)
    assert "1970-01-01" in told(tmp_path)["start"] or "1969-12-31" in told(tmp_path)["start"]
    clock.unix_s = 1_777_636_800.0  # noon
    clip.write(30, NS_PER_S, NS_PER_S, complete=True)
    assert all(told(tmp_path)[key].startswith("2026-05-01") for key in ("start", "end"))
