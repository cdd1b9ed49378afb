"""What the page's interface answers, asked without a network."""

import asyncio

import httpx
import pytest
from support.service_views import a_status

from edge_detect.core import Size
from edge_detect.sinks.web.audience import Audience, Jpeg
from edge_detect.sinks.web.feed import Feed
from edge_detect.sinks.web.reports import StateReport
from edge_detect.sinks.web.routes import make_camera_app
from edge_detect.sinks.web.stage import Stage
from edge_detect.sinks.web.streams import picture_headers

MS = 1_000_000


@pytest.mark.parametrize("uptime_ns", [0, 50 * MS, 10**18])
def test_the_pipeline_is_asked_for_its_state_ten_times_a_second_at_most(uptime_ns):
    asked_ns = []

    def report():
        asked_ns.append(now_ns - uptime_ns)
        return a_status()

    app = make_camera_app(Stage(Audience(1), Feed(1), report), clock=lambda: now_ns)
    for later_ns in (0, 30 * MS, 99 * MS, 100 * MS, 150 * MS, 199 * MS, 300 * MS):
        now_ns = uptime_ns + later_ns
        assert StateReport.model_validate(get(app, "/api/state").json()).elapsed_s == 100
    assert asked_ns == [0, 100 * MS, 300 * MS]


def get(app, path):
    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_a_picture_tells_its_age_and_that_of_its_boxes():
    jpeg = Jpeg(b"", captured_ns=40 * MS, boxes_age_ns=7_250_000, size=Size(64, 48))
    assert picture_headers(jpeg, 52_340_000) == {
        "X-Capture-Age-Ms": "12.3",
        "X-Boxes-Age-Ms": "7.2",
        "X-Size": "64x48",
    }
