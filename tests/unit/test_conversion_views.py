"""Few calibration pictures stand for many, and are judged by others than they are watched by."""

import numpy as np
import pytest

from edge_detect.tools.convert.views import judged_views, watched_views


def pictures_of(count, channels=3):
    random = np.random.default_rng(count)
    return [random.integers(0, 256, (24, 32, channels), np.uint8) for _ in range(count)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("make", [watched_views, judged_views])
def test_views_have_the_shape_of_the_pictures(make, channels):
    views = make(pictures_of(3, channels))
    assert {view.shape for view in views} == {(24, 32, channels)}
    assert {view.dtype for view in views} == {np.dtype(np.uint8)}


def test_seven_pictures_become_56_views_to_watch_and_32_to_judge_by():
    pictures = pictures_of(7)
    views = watched_views(pictures)
    assert len(views) == 56
    assert all(view is picture for view, picture in zip(views, pictures, strict=False))
    assert len(judged_views(pictures)) == 32


def test_pictures_are_never_left_out_however_many():
    pictures = pictures_of(80)
    assert all(
        view is picture for view, picture in zip(watched_views(pictures), pictures, strict=True)
    )


def test_no_view_is_both_watched_and_judged():
    pictures = pictures_of(2)
    watched = {view.tobytes() for view in watched_views(pictures)}
    assert not watched & {view.tobytes() for view in judged_views(pictures)}


def test_same_pictures_give_the_same_views():
    first, second = (watched_views(pictures_of(9)) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_picture_is_enough():
    assert len(watched_views(pictures_of(1))) == 8
    assert len(judged_views(pictures_of(1))) == 5
