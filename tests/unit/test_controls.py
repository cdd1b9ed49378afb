"""How often a pipeline may detect."""

import pytest

from edge_detect.core import NS_PER_S
from edge_detect.models import Thresholds
from edge_detect.models.selection import Selection
from edge_detect.pipeline.controls import Controls


class HasToWait(Exception):  # noqa: N818 - not an error
    """The next detection is not allowed yet."""


def has_to_wait() -> None:
    raise HasToWait


@pytest.mark.parametrize("started_ns", [0, 1_000_000 * NS_PER_S])
def test_a_limited_rate_holds_from_the_first_detection_whatever_the_clock(started_ns) -> None:
    now_ns = [started_ns]
    selection = Selection("model", ("person",))
    controls = Controls(Thresholds(0.5, 0.5, 10), selection, 0.1, lambda: now_ns[0])
    now_ns[0] += NS_PER_S
    controls.wait_until_due(has_to_wait)
    with pytest.raises(HasToWait):
        controls.wait_until_due(has_to_wait)
    now_ns[0] += 10 * NS_PER_S
    controls.wait_until_due(has_to_wait)
