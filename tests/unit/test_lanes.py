"""How soon a device that failed is opened again."""

import logging
from time import monotonic
from types import SimpleNamespace

import numpy as np
from support.waiting import wait_for

from edge_detect.core import AcceleratorError
from edge_detect.core.backoff import Backoff
from edge_detect.models.lanes import Lane, Lanes


def refuse(give_up):
    raise AcceleratorError("it cannot be opened")


def open_at_once(give_up):
    session = SimpleNamespace(slots=1, runtime="none", threads=1, close=lambda: None)
    return SimpleNamespace(session=session)


def test_a_device_that_fails_over_and_over_is_tried_with_growing_waits(caplog):
    tried_s = []

    def refuse_again(give_up):
        tried_s.append(monotonic())
        refuse(give_up)

    caplog.set_level(logging.INFO)
    lane = Lane("edgetpu:usb:0", refuse_again, Backoff(0.02, 60.0))
    lanes = Lanes("model", [lane], Lane("cpu", open_at_once), absence="again")
    try:
        wait_for(lambda: len(tried_s) > 5)
        assert lanes.devices == ("cpu",)
    finally:
        lanes.close()
    assert np.all(np.diff(tried_s)[:5] >= 0.01 * 2.0 ** np.arange(5))
    assert len(caplog.records) == 1


def test_a_device_that_never_opened_keeps_its_growing_waits_however_long_the_system_is_up():
    lane = Lane("cpu", refuse, Backoff(1.0, 60.0))
    for _ in range(4):
        lane.backoff.next_s()
    # As when a frame is given back while the device that it stands in for is there.
    assert lane.end() is None
    assert lane.backoff.next_s() >= 8
