"""What is said too often is said ever more seldom, and never uncounted."""

import logging

from hypothesis import given
from hypothesis import strategies as st

from edge_detect.core import NS_PER_S
from edge_detect.service.logs.entry import Entry
from edge_detect.service.logs.repeats import Repeats, repeat_key

HOUR_S = 3600


def entry(message: str = "lost", level: int = logging.WARNING) -> Entry:
    return Entry(0.0, level, "edge_detect.test", message)


def record(template: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("edge_detect.test", logging.WARNING, "", 1, template, arguments, None)
    vars(made).update(extra)
    return made


def test_a_source_down_for_six_hours_is_said_at_growing_intervals():
    repeats = Repeats()
    said: list[tuple[int, int]] = []
    for second in range(6 * HOUR_S):
        now_ns = second * NS_PER_S
        spoken = [*repeats.due(now_ns), *repeats.admit(("lost",), entry(), now_ns)]
        said += [(second, each.repeated) for each in spoken]
    moments = [second for second, _ in said]
    assert moments == [0, 60, 660, 660 + HOUR_S, 660 + 2 * HOUR_S, *moments[5:]]
    assert len(moments) == 8
    assert [count for _, count in said[:3]] == [1, 59, 600]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 2000), st.booleans()), max_size=200
    ),
    st.integers(1, 6),
)
def test_no_entry_is_ever_lost_from_the_count(events, most):
    repeats = Repeats((60, 600, 3600), most)
    said, now_ns = [], 0
    for key, pause_s, warning in events:
        now_ns += pause_s * NS_PER_S
        said += repeats.due(now_ns)
        level = logging.WARNING if warning else logging.INFO
        said += repeats.admit((key, level), entry(key, level), now_ns)
    said += repeats.rest(now_ns)
    for key in "abcdef":
        meant = sum(1 for each, _, _ in events if each == key)
        assert sum(each.repeated for each in said if each.message == key) == meant


def test_the_newest_of_those_held_back_is_the_one_that_is_said():
    repeats = Repeats()
    for number in range(5):
        repeats.admit(("k",), entry(f"attempt {number}"), 0)
    (summed,) = repeats.due(60 * NS_PER_S)
    assert summed.text == "attempt 4 (4 times in 60 s)"


def test_one_that_was_held_back_alone_is_said_as_it_is():
    repeats = Repeats()
    repeats.admit(("k",), entry("first"), 0)
    assert repeats.admit(("k",), entry("second"), NS_PER_S) == []
    (said,) = repeats.due(60 * NS_PER_S)
    assert said.text == "second"


def test_what_was_quiet_for_an_interval_is_new_again():
    repeats = Repeats()
    repeats.admit(("k",), entry(), 0)
    assert repeats.due(61 * NS_PER_S) == []
    assert repeats.admit(("k",), entry(), 61 * NS_PER_S) == [entry()]


def test_events_that_are_no_warnings_may_come_ten_at_once():
    repeats = Repeats()
    info = entry("configuration applied", logging.INFO)
    said = [repeats.admit(("k",), info, 0) for _ in range(12)]
    assert [len(each) for each in said] == [1] * 10 + [0] * 2


def test_memory_stays_bounded_and_the_oldest_is_summed_up_when_it_has_to_go():
    repeats = Repeats(most=100)
    repeats.admit((0,), entry("oldest"), 0)
    repeats.admit((0,), entry("oldest"), 0)
    said = [each for key in range(1, 1000) for each in repeats.admit((key,), entry(str(key)), 0)]
    assert [each for each in said if each.message == "oldest"] != []
    assert len(repeats._known) == 100


def test_numbers_do_not_make_a_difference_but_words_and_cameras_do():
    template = "%s: back after %.1f s"
    first = repeat_key(record(template, "rtsp://a", 1.5))
    assert repeat_key(record(template, "rtsp://a", 99.0)) == first
    assert repeat_key(record(template, "rtsp://b", 1.5)) != first
    assert repeat_key(record(template, "rtsp://a", 1.5, camera="yard")) != first
    error = OSError("no route to host")
    assert repeat_key(record("%s", error)) != repeat_key(record("%s", OSError("timed out")))
