"""Objects appear, stay and leave, whatever the frame rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import NS_PER_S, Detection
from edge_detect.service.mqtt.events import EventRules, EventTracker, Sighting

RULES = EventRules(appear_s=0.5, leave_s=3.0, parked_s=60.0, stay_s=10.0)
PLACE = (0.4, 0.4, 0.6, 0.8)


def seen(label="person", box=PLACE, score=0.8, zones=()):
    return Sighting(label, score, box, zones)


def moved(by, box=PLACE):
    return (box[0] + by, box[1], box[2] + by, box[3])


class Clip:
    """Results at a rate, given to a tracker."""

    def __init__(self, fps, rules=RULES):
        self.tracker = EventTracker(rules)
        self.changes = []
        self._period_ns = round(NS_PER_S / fps)
        self.now_ns = NS_PER_S

    def play(self, seconds, *sightings, at=None):
        for number in range(max(1, round(seconds * NS_PER_S / self._period_ns))):
            shown = sightings if at is None else at(number)
            self.now_ns += self._period_ns
            self.changes += self.tracker.update(list(shown), self.now_ns)
        return self

    @property
    def kinds(self):
        return [change.kind for change in self.changes]


@pytest.mark.parametrize("fps", [1, 5, 30, 120])
def test_one_visit_is_one_appear_and_one_leave_at_any_rate(fps) -> None:
    clip = Clip(fps).play(2).play(8, seen()).play(10)
    assert clip.kinds == ["appear", "leave"]
    appear, leave = clip.changes
    assert appear.number == leave.number
    assert leave.reason == "out of sight"
    # Its life is told from first to last sight, not from when it was believed.
    assert (leave.seen_ns - leave.began_ns) / NS_PER_S == pytest.approx(8, abs=1.01 / fps)


@pytest.mark.parametrize("fps", [5, 30])
def test_it_counts_after_appear_s_and_not_before(fps) -> None:
    assert Clip(fps).play(0.4, seen()).kinds == []
    assert Clip(fps).play(0.8, seen()).kinds == ["appear"]


def test_what_flashes_up_now_and_then_never_counts() -> None:
    clip = Clip(30).play(60, at=lambda n: [seen()] if n % 10 == 0 else [])
    assert clip.kinds == []


def test_what_is_lost_in_every_other_result_counts_once() -> None:
    clip = Clip(10).play(9, at=lambda n: [seen()] if n % 2 == 0 else [])
    assert clip.kinds == ["appear"]


def test_without_waiting_it_counts_at_its_first_sight() -> None:
    clip = Clip(1, EventRules(0, 3, 60, 10)).play(1, seen())
    assert clip.kinds == ["appear"]


def test_stays_are_told_at_growing_intervals() -> None:
    clip = Clip(2).play(200, seen())
    assert clip.kinds == ["appear", "stay", "stay", "stay", "stay"]
    times = [change.seen_ns / NS_PER_S for change in clip.changes]
    assert np.diff(times) == pytest.approx([10, 20, 40, 80])


def test_a_parked_car_that_is_lost_for_a_while_is_not_told_of_again() -> None:
    clip = Clip(5).play(300, seen("car"))
    for _ in range(5):
        clip.play(40).play(20, seen("car"))
    assert clip.kinds.count("appear") == 1
    assert "leave" not in clip.kinds


def test_a_parked_car_that_drives_away_leaves_after_leave_s() -> None:
    clip = Clip(5).play(300, seen("car"))
    clip.play(2, at=lambda n: [seen("car", moved(0.04 * n))]).play(3.4)
    assert clip.kinds[-1] == "leave"


def test_nobody_waits_longer_than_parked_s() -> None:
    clip = Clip(1).play(3600, seen("car")).play(58)
    assert "leave" not in clip.kinds
    assert clip.play(5).kinds[-1] == "leave"


def test_a_walking_person_remains_one_at_a_frame_a_second() -> None:
    clip = Clip(1).play(20, at=lambda n: [seen(box=moved(0.03 * n, (0, 0.2, 0.1, 0.6)))])
    assert clip.kinds[0] == "appear"
    assert set(clip.kinds[1:]) == {"stay"}


def test_two_of_a_class_are_two_objects_and_classes_are_kept_apart() -> None:
    both = [seen(box=moved(-0.35)), seen(box=moved(0.35)), seen("car")]
    clip = Clip(10).play(3, *both)
    assert clip.kinds == ["appear"] * 3
    assert len({change.number for change in clip.changes}) == 3
    assert clip.tracker.counts() == {("", "person"): 2, ("", "car"): 1}


def test_another_class_at_the_same_place_is_another_object() -> None:
    clip = Clip(10).play(3, seen("cat")).play(8, seen("dog"))
    assert [(change.kind, change.newest.label) for change in clip.changes] == [
        ("appear", "cat"),
        ("appear", "dog"),
        ("leave", "cat"),
    ]


def test_zones_are_those_of_now_and_in_the_end_all_that_it_was_in() -> None:
    clip = Clip(10).play(1, seen(zones=("gate",))).play(1, seen(zones=("yard",)))
    assert clip.tracker.counts() == {("", "person"): 1, ("yard", "person"): 1}
    clip.play(5)
    assert [change.zones for change in clip.changes] == [("gate",), ("gate", "yard")]


def test_a_pause_of_the_detector_is_no_absence() -> None:
    clip = Clip(10).play(2, seen())
    clip.now_ns += 20 * NS_PER_S
    assert clip.play(1, seen()).kinds.count("appear") == 1
    assert "leave" not in clip.kinds


def test_when_nothing_is_seen_any_longer_all_leave_with_the_reason() -> None:
    clip = Clip(10).play(2, seen(), seen("car"))
    assert [(c.kind, c.reason) for c in clip.tracker.end_all("the camera has gone")] == [
        ("leave", "the camera has gone")
    ] * 2
    assert clip.tracker.counts() == {}
    assert clip.tracker.end_all("again") == []


def test_results_from_the_past_change_nothing() -> None:
    clip = Clip(10).play(2, seen())
    before = list(clip.changes)
    assert clip.tracker.update([], clip.now_ns) == []
    assert clip.tracker.update([seen()], clip.now_ns - 5) == []
    assert clip.changes == before


def test_a_crowd_beyond_all_bounds_is_cut_off() -> None:
    crowd = [seen(box=(n / 400, 0, n / 400 + 0.002, 0.002)) for n in range(400)]
    clip = Clip(4).play(2, *crowd)
    assert clip.kinds == ["appear"] * 200


def test_a_detection_is_measured_in_parts_of_the_picture() -> None:
    box = (64.0, 48.0, 320.0, 240.0)
    found = Detection("person", 0, 0.5, box, ("gate",), mid="/m/01g317")
    wanted = ("person", 0.5, (0.1, 0.1, 0.5, 0.5), ("gate",), "/m/01g317")
    assert Sighting.of(found, 640, 480) == wanted


corner = st.floats(0, 0.8)
sightings = st.lists(
    st.builds(
        lambda label, x, y, w, zones: Sighting(label, 0.9, (x, y, x + w, y + w), zones),
        st.sampled_from(["person", "car"]),
        corner,
        corner,
        st.floats(0.0, 0.2),
        st.sampled_from([(), ("gate",), ("gate", "yard")]),
    ),
    max_size=4,
)
steps = st.lists(st.tuples(sightings, st.floats(0.001, 20.0), st.booleans()), max_size=60)


@given(steps)
def test_every_appear_has_one_leave_and_counts_are_what_is_open(course) -> None:
    """Whatever is seen, however irregularly, and wherever the source goes away."""
    tracker, now_ns, state = EventTracker(EventRules(0.5, 3, 20, 5)), 1, {}
    for shown, pause_s, source_lost in course:
        now_ns += round(pause_s * NS_PER_S)
        changes = tracker.update(shown, now_ns)
        changes += tracker.end_all("the camera has gone") if source_lost else []
        for change in changes:
            before = state.get(change.number)
            assert before == {"appear": None, "stay": "open", "leave": "open"}[change.kind]
            state[change.number] = "left" if change.kind == "leave" else "open"
            assert change.began_ns <= change.seen_ns <= now_ns
            assert bool(change.reason) == (change.kind == "leave")
        counts = tracker.counts()
        is_open = sum(each == "open" for each in state.values())
        assert sum(number for (zone, _), number in counts.items() if not zone) == is_open
        assert all(number > 0 for number in counts.values())
    for _ in range(3):
        now_ns += 30 * NS_PER_S
        for change in tracker.update([], now_ns):
            state[change.number] = "left"
    assert set(state.values()) <= {"left"}
    assert tracker.counts() == {}
