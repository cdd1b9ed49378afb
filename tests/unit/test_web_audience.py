"""Pictures and results on their way to those who want them: the newest, once, in bounds."""

import asyncio
from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge_detect.core import Frame, Picture, monotonic_ns
from edge_detect.sinks.web.audience import Audience, AudienceFullError, Rendition
from edge_detect.sinks.web.feed import Feed, FeedFullError
from edge_detect.sinks.web.pace import Pace

PLAIN = Rendition(None, 80)


def picture(level=0, width=64, height=48):
    image = np.full((height, width, 3), level, np.uint8)
    now_ns = monotonic_ns()
    return Picture(Frame(image, now_ns, level, "test", now_ns), image, None)


def level_of(jpeg):
    image = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    return int(image.mean().round())


class Clock:
    """Shows the time that a test sets."""

    def __init__(self, seconds=0.0):
        self.now_ns = round(seconds * 1e9)

    def __call__(self):
        return self.now_ns

    def forward(self, seconds):
        self.now_ns += round(seconds * 1e9)


def at_once(function, *arguments):
    function(*arguments)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


async def waiting(viewer, timeout_s=5.0):
    """A task that waits for a picture already."""
    task = asyncio.create_task(viewer.next(timeout_s))
    await asyncio.sleep(0)
    return task


def test_nothing_is_made_for_nobody():
    async def story():
        audience = Audience(2)
        assert not audience.is_due()
        assert not audience.serve(picture(), at_once)
        viewer = audience.join(PLAIN, None)
        assert not audience.is_due(), "it is not waiting yet"
        assert not audience.serve(picture(), at_once)
        audience.leave(viewer)
        assert audience.count == 0

    run(story())


def test_a_viewer_who_is_busy_gets_the_next_picture_and_none_of_those_in_between():
    async def story():
        audience = Audience(1)
        viewer = audience.join(PLAIN, None)
        seen = []
        for level in (10, 20, 30, 40, 50, 60):
            if level in (10, 50):
                task = await waiting(viewer)
            audience.serve(picture(level), at_once)
            if level in (10, 50):
                seen.append(level_of(await task))
        return seen

    assert run(story()) == [10, 50]


def test_viewers_of_the_same_kind_share_one_jpeg():
    async def story():
        audience = Audience(4)
        viewers = [audience.join(PLAIN, None) for _ in range(3)]
        viewers.append(audience.join(Rendition(32, 80), None))
        tasks = [await waiting(viewer) for viewer in viewers]
        assert audience.serve(picture(), at_once)
        return [await task for task in tasks]

    first, second, third, small = run(story())
    assert first.data is second.data is third.data
    assert (small.size.width, small.size.height) == (32, 24)
    assert (first.size.width, first.size.height) == (64, 48)


def test_a_picture_is_never_made_larger_than_it_is():
    async def story():
        audience = Audience(1)
        task = await waiting(audience.join(Rendition(4000, 80), None))
        audience.serve(picture(), at_once)
        return await task

    assert run(story()).size == (64, 48)


def test_a_rate_leaves_pictures_out_and_keeps_its_mean():
    pace = Pace(10)
    camera_ns = [number * 1_000_000_000 // 30 + number % 2 * 2_000_000 for number in range(300)]
    taken = []
    for now_ns in camera_ns:
        if pace.due(now_ns):
            pace.take(now_ns)
            taken.append(now_ns)
    assert len(taken) == 100
    assert min(b - a for a, b in pairwise(taken)) > 90_000_000


def test_after_a_break_nothing_is_made_up_for():
    pace = Pace(10)
    pace.take(5_000_000_000)
    assert not pace.due(5_050_000_000)
    pace.take(9_000_000_000)
    assert not pace.due(9_050_000_000)
    assert pace.due(9_100_000_000)


@pytest.mark.parametrize("uptime_s", [0, 3, 1e7])
def test_a_rate_holds_from_the_first_second_of_the_computer(uptime_s):
    pace = Pace(0.2)
    taken_s = []
    for later_s in range(23):
        now_ns = round((uptime_s + later_s) * 1e9)
        if pace.due(now_ns):
            pace.take(now_ns)
            taken_s.append(later_s)
    assert taken_s == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("uptime_s", [0, 3, 1e7])
def test_a_viewer_with_a_rate_is_due_again_when_its_time_has_come(uptime_s):
    async def story():
        clock = Clock(uptime_s)
        audience = Audience(1, clock)
        viewer = audience.join(PLAIN, 0.1)
        task = await waiting(viewer)
        assert audience.serve(picture(), at_once)
        await task
        task = await waiting(viewer)
        clock.forward(8.9)
        assert not audience.is_due()
        assert not audience.serve(picture(), at_once)
        clock.forward(0.2)
        assert audience.is_due()
        assert audience.serve(picture(), at_once)
        await task

    run(story())


def test_one_picture_is_on_its_way_at_most_while_the_loop_is_behind():
    async def story():
        audience = Audience(1)
        task = await waiting(audience.join(PLAIN, None))
        calls = []
        for level in range(5):
            audience.serve(picture(level), lambda *call: calls.append(call))
        task.cancel()
        return len(calls)

    assert run(story()) == 1


def test_the_end_wakes_those_who_wait_and_those_who_come_after():
    async def story():
        audience = Audience(1)
        viewer = audience.join(PLAIN, None)
        task = await waiting(viewer, 60)
        audience.end()
        assert await task is None
        assert await viewer.next(60) is None
        assert viewer.ended

    run(story())


def test_too_many_viewers_or_kinds_of_pictures_are_refused():
    async def story():
        audience = Audience(5)
        for width in (64, 128, 256, 512):
            last = audience.join(Rendition(width, 80), None)
        with pytest.raises(AudienceFullError, match="widths"):
            audience.join(Rendition(1024, 80), None)
        audience.join(Rendition(64, 80), None)
        with pytest.raises(AudienceFullError, match="5 are watching"):
            audience.join(Rendition(64, 80), None)
        audience.leave(last)
        audience.join(Rendition(64, 80), None)

    run(story())


def test_a_single_picture_can_be_had_even_when_all_places_are_taken():
    async def story():
        audience = Audience(1)
        audience.join(PLAIN)
        task = await waiting(audience.join(Rendition(32, 92), passing=True))
        assert audience.count == 1
        audience.serve(picture(), at_once)
        assert (await task).size.width == 32
        for _ in range(7):
            audience.join(Rendition(32, 92), passing=True)
        with pytest.raises(AudienceFullError, match="8 are watching"):
            audience.join(Rendition(32, 92), passing=True)

    run(story())


def test_a_listener_hears_every_result_in_order(result_of):
    async def story():
        feed = Feed(1)
        listener = feed.join(None)
        heard = []
        for sequence in range(20):
            feed.publish(result_of(sequence=sequence), at_once)
            heard.append((await listener.next(5))[0])
        assert feed.newest.frame.sequence == 19
        return heard

    assert run(story()) == list(range(20))


def test_a_slow_listener_hears_of_the_newest_results(result_of):
    async def story():
        feed = Feed(2)
        listener = feed.join(None)
        for sequence in range(100):
            feed.publish(result_of(sequence=sequence), at_once)
        return [(await listener.next(5))[0] for _ in range(8)], await listener.next(0.01)

    assert run(story()) == (list(range(92, 100)), None)


def test_a_loop_that_is_behind_finds_few_results_and_one_call(result_of):
    async def story():
        feed = Feed(1)
        listener = feed.join(None)
        calls = []
        for sequence in range(100):
            feed.publish(result_of(sequence=sequence), calls.append)
        assert len(calls) == 1
        calls[0]()
        return [(await listener.next(5))[0] for _ in range(8)]

    assert run(story()) == list(range(92, 100))


def test_a_rate_of_results_leaves_some_out(result_of):
    async def story():
        clock = Clock()
        feed = Feed(1, clock)
        listener = feed.join(5)
        for sequence in range(50):
            feed.publish(result_of(sequence=sequence), at_once)
            clock.forward(0.02)
        heard = [(await listener.next(5))[0] for _ in range(6)]
        return heard, await listener.next(0.01)

    # Each may come a tenth of an interval early, and the mean rate holds all the same.
    assert run(story()) == ([0, 9, 19, 29, 39, 49], None)


def test_too_many_listeners_are_refused_and_the_end_reaches_all(result_of):
    async def story():
        feed = Feed(2)
        listeners = [feed.join(None), feed.join(None)]
        with pytest.raises(FeedFullError, match="2 are listening"):
            feed.join(None)
        feed.end()
        assert [await listener.next(60) for listener in listeners] == [None, None]
        for listener in listeners:
            feed.leave(listener)
        feed.publish(result_of(), lambda _: pytest.fail("formatted for nobody"))

    run(story())
