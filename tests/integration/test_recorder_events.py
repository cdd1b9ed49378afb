"""Around events there are clips, each with a thumbnail and a story."""

import json
from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from support.recordings import (
    Camera,
    check_plays,
    kill_while_it_records,
    numbers,
    open_recorder,
    segments,
    stream_info,
)
from support.servers import pattern
from support.set_clock import SetClock
from support.waiting import wait_for

from edge_detect.core import SinkError

PERSON, CAR = ("person", 0.8), ("car", 0.7)
TIMES = ("start", "end", "first_detection", "last_detection")


def record(root, options, *scenes, camera=None):
    """Record scenes, each a number of pictures and what is seen in them."""
    camera = camera or Camera()
    with open_recorder(f"mp4://{root}?{options}") as sink:
        sink.open(stream_info())
        for count, *seen in scenes:
            camera.feed(sink, count, *seen)
    return [(path, numbers(path), story_of(path)) for path in segments(root)]


def story_of(path):
    return json.loads(path.with_suffix(".json").read_text())


def has_story(path):
    return path.with_suffix(".json").exists()


def test_a_clip_lasts_from_before_the_first_detection_to_after_the_last(tmp_path) -> None:
    ((path, found, story),) = record(
        tmp_path, "events=person&pre=2s&post=3s", (300,), (30, PERSON), (300,)
    )
    check_plays(path)
    # From the key frame at or before 2 s before picture 300, to one after 3 s after 329.
    assert found == list(range(240, found[-1] + 1))
    assert 329 + 90 <= found[-1] <= 329 + 90 + 31
    assert story["frames"] == len(found)
    assert story["duration_s"] == pytest.approx(len(found) / 30, abs=0.001)
    start, end = (datetime.fromisoformat(story[key]) for key in ("start", "end"))
    assert start.utcoffset() is not None
    assert (end - start).total_seconds() == pytest.approx(story["duration_s"], abs=0.01)
    first = datetime.fromisoformat(story["first_detection"])
    assert first - start == pytest.approx(timedelta(seconds=2), abs=timedelta(milliseconds=20))
    assert (story["video"], story["complete"], story["continues"]) == (path.name, True, None)
    assert (story["source"], story["size"]) == ("camera", [320, 240])
    assert (story["events"], story["pre_s"], story["post_s"]) == (["person"], 2.0, 3.0)


def test_the_story_tells_the_most_and_the_best_of_each_class(tmp_path) -> None:
    ((path, _, story),) = record(
        tmp_path,
        "events=person,car&pre=1s&post=1s",
        (60, ("dog", 0.99)),
        (20, PERSON, CAR),
        (1, ("person", 0.95), ("person", 0.9), ("dog", 0.99)),
        (20, PERSON),
        (90,),
    )
    assert set(story["detections"]) == {"person", "car"}
    person, car = story["detections"]["person"], story["detections"]["car"]
    assert (person["max_count"], person["best_score"]) == (2, 0.95)
    assert person["box"] == [0.0, 20.0, 50.0, 100.5]
    assert person["at_s"] == pytest.approx(80 / 30 - 1, abs=0.04)
    assert (car["max_count"], car["best_score"]) == (1, 0.7)
    assert car["box"] == [10.0, 20.0, 60.0, 100.5]
    thumbnail = cv2.imread(str(path.with_suffix(".jpg")))
    assert pattern.read(thumbnail).number == 80
    assert sorted(each.name for each in path.parent.iterdir()) == [
        path.stem + ending for ending in (".jpg", ".json", ".mp4")
    ]


def test_near_events_share_a_clip_and_far_ones_have_their_own(tmp_path) -> None:
    clips = record(
        tmp_path,
        "events=*&pre=1s&post=2s",
        (60,),
        (1, CAR),
        (45,),
        (1, ("dog", 0.6)),
        (300,),
        (1, PERSON),
        (200,),
    )
    assert len(clips) == 2
    (_, one, story), (_, other, _) = clips
    assert one[0] == 30
    assert set(story["detections"]) == {"car", "dog"}
    assert one[-1] < other[0]
    assert 407 - 30 - 31 <= other[0] <= 407 - 30


def test_an_event_soon_after_a_clip_follows_it_without_doubling_pictures(tmp_path) -> None:
    (_, one, _), (_, other, _) = record(
        tmp_path, "events=person&pre=3s&post=1s", (60,), (1, PERSON), (75,), (1, PERSON), (120,)
    )
    assert other[0] == one[-1] + 1


def test_a_long_event_goes_on_in_the_next_clip_without_a_gap(tmp_path) -> None:
    clips = record(tmp_path, "events=person&pre=1s&post=1s&segment=5s", (60,), (400, PERSON), (90,))
    # In the last one there is nothing but the time after the event.
    assert len(clips) == 4
    every = [number for _, found, _ in clips for number in found]
    assert every == list(range(30, every[-1] + 1))
    counts = [len(story["detections"]) for _, _, story in clips]
    assert counts == [1, 1, 1, 0]
    names = [path.name for path, _, _ in clips]
    assert [story["continues"] for _, _, story in clips] == [None, *names[:-1]]
    for path, found, story in clips:
        check_plays(path)
        assert story["complete"]
        assert story["frames"] == len(found)
        assert path.with_suffix(".jpg").exists()


def test_nothing_is_written_without_an_event(tmp_path) -> None:
    assert record(tmp_path, "events=person", (200, CAR)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_drawn_many_times_counts_once(tmp_path) -> None:
    camera = Camera()
    with open_recorder(f"mp4://{tmp_path}?events=person&pre=0s&post=1s") as sink:
        sink.open(stream_info())
        camera.feed(sink, 30)
        old = camera.picture(PERSON)
        for _ in range(150):
            picture = camera.picture()
            object.__setattr__(picture, "result", old.result)
            sink.write_picture(picture)
    (path,) = segments(tmp_path)
    assert len(numbers(path)) <= 3 * 30


def test_a_class_that_the_model_does_not_know_is_an_error(tmp_path) -> None:
    with open_recorder(f"mp4://{tmp_path}?events=persn") as sink:
        sink.open(stream_info())
        with pytest.raises(SinkError, match="'persn' never happen") as caught:
            Camera().feed(sink, 1)
    assert "person, car, dog" in caught.value.hint


def test_an_event_ends_when_no_more_pictures_come(tmp_path) -> None:
    clock = SetClock()
    camera = Camera(start_ns=clock.monotonic_ns())
    with open_recorder(f"mp4://{tmp_path}?events=person&pre=1s&post=60s", clock=clock) as sink:
        sink.open(stream_info())
        camera.feed(sink, 60, PERSON)
        wait_for(lambda: any(map(has_story, segments(tmp_path))))
        (path,) = segments(tmp_path)
        wait_for(lambda: clock.advance(11) or story_of(path)["complete"])


def test_times_in_a_story_are_right_however_short_the_computer_has_been_on(tmp_path) -> None:
    clock = SetClock(unix_s=1_767_225_600.0, up_s=0.0)
    camera = Camera(160, 120, start_ns=1)
    with open_recorder(f"mp4://{tmp_path}?events=person&pre=0s&post=1s", clock=clock) as sink:
        sink.open(stream_info())
        camera.feed(sink, 31, PERSON)
    (path,) = segments(tmp_path)
    story = story_of(path)
    times = [datetime.fromisoformat(story[key]).timestamp() - clock.unix_s for key in TIMES]
    assert times == pytest.approx([0, 31 / 30, 0, 1], abs=0.002)


def test_a_clip_of_a_killed_process_has_its_story_and_thumbnail(tmp_path) -> None:
    url = f"mp4://{tmp_path}?events=person&pre=2s&post=60s&segment=1h"

    def told() -> bool:
        return any(
            path.with_suffix(".json").exists() and path.stat().st_size > 2000
            for path in segments(tmp_path)
        )

    kill_while_it_records(url, told)
    (path,) = segments(tmp_path)
    check_plays(path)
    found = numbers(path)
    assert found == list(range(90, 90 + len(found)))
    story = story_of(path)
    assert not story["complete"]
    assert story["detections"]["person"]["best_score"] == 0.9
    assert pattern.read(cv2.imread(str(path.with_suffix(".jpg")))).number == 151


def test_clips_are_deleted_with_what_lies_beside_them(tmp_path) -> None:
    scene = ((30,), (1, PERSON), (90,))
    clips = record(tmp_path, "events=person&pre=0s&post=1s&keep=300kB&reserve=0MB", *scene * 12)
    left = {path.stem for path, _, _ in clips}
    assert 1 <= len(clips) < 12
    assert {path.stem for path in tmp_path.glob("*/*")} == left
    assert np.sum([path.stat().st_size for path in tmp_path.glob("*/*")]) <= 400_000
