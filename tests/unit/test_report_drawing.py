"""How times are understood, axes are marked, and figures are said."""

import json
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.history_days import write_history

from edge_detect.core import ConfigError
from edge_detect.service.history.record import Moment
from edge_detect.service.report import (
    make_report,
    make_report_html,
    parse_moment,
    report_json,
    report_text,
)
from edge_detect.service.report.axis import linear_scale, log_scale, time_ticks
from edge_detect.service.report.summary import Report
from edge_detect.service.report.words import duration, number, percent

NOW_S = 1_780_000_000.0
NOW = Moment(NOW_S, 0.0, "")


@pytest.fixture
def berlin() -> Iterator[None]:
    """A place with summer time."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture(scope="module")
def a_report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("metrics")
    write_history(directory, NOW_S, 1.0, ("door", "yard"))
    return make_report(directory, NOW_S - 86_400, NOW_S, now=NOW)


def test_since_takes_spans_and_dates() -> None:
    assert parse_moment("24h", "--since", NOW_S) == NOW_S - 86_400
    assert parse_moment("90min", "--since", NOW_S) == NOW_S - 5400
    assert parse_moment("1.5d", "--since", NOW_S) == NOW_S - 129_600
    assert parse_moment("2026-05-01T12:00:00+00:00", "--since") == 1_777_636_800


@pytest.mark.parametrize("since", ["999999w", "999999.999d", "1492-10-12"])
def test_a_report_since_the_middle_ages_is_that_of_all_there_is(tmp_path: Path, since: str) -> None:
    write_history(tmp_path, NOW_S, 2.0, ("door",))
    found = make_report(tmp_path, parse_moment(since, "--since", NOW_S), NOW_S, now=NOW)
    assert found.cameras[0].recorded_s == pytest.approx(2 * 86_400, rel=0.1)


@pytest.mark.usefixtures("berlin")
def test_dates_are_local() -> None:
    assert parse_moment("2026-05-01", "--since") == 1_777_586_400
    assert parse_moment("2026-05-01 14:30", "--since") == 1_777_638_600


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_other_text_is_one_clear_error(text: str) -> None:
    moment, error = None, None
    try:
        moment = parse_moment(text, "--until")
    except ConfigError as raised:
        error = raised
    assert (moment is None) != (error is None)
    assert error is None or (error.message.startswith("--until ") and "24h" in error.hint)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_a_linear_axis_is_wide_enough_and_has_few_round_marks(low: float, span: float) -> None:
    scale = linear_scale(low, low + span)
    assert scale.place(low) >= -1e-6
    assert scale.place(low + span) <= 1 + 1e-6
    assert 2 <= len(scale.ticks) <= 7


@settings(deadline=None)
@given(st.floats(0.1, 1e4), st.floats(1, 1e4))
def test_a_logarithmic_axis_is_wide_enough_and_has_few_marks(low: float, times: float) -> None:
    scale = log_scale(low, low * times)
    assert -1e-6 <= scale.place(low) <= scale.place(low * times) <= 1 + 1e-6
    assert 2 <= len(scale.ticks) <= 9


@settings(deadline=None)
@given(st.floats(0, 4e9), st.floats(60, 3e8))
def test_a_time_axis_has_few_marks_within_the_time(since_s: float, span_s: float) -> None:
    ticks = time_ticks(since_s, since_s + span_s)
    assert len(ticks) <= 12
    assert all(since_s <= at_s <= since_s + span_s for at_s, _ in ticks)
    assert [at_s for at_s, _ in ticks] == sorted({at_s for at_s, _ in ticks})


@pytest.mark.usefixtures("berlin")
def test_marks_stay_on_full_hours_when_summer_time_ends() -> None:
    since_s = datetime.fromisoformat("2026-10-24T12:00:00").timestamp()
    labels = [label for _, label in time_ticks(since_s, since_s + 25 * 3600)]
    assert labels == [
        "12:00",
        "15:00",
        "18:00",
        "21:00",
        "25 Oct",
        "03:00",
        "06:00",
        "09:00",
        "12:00",
    ]


def test_what_is_nearly_perfect_is_not_called_perfect() -> None:
    assert percent(0.999_999) == "99.99 %"
    assert percent(1.0) == "100.00 %"


def test_durations_and_unknown_numbers_are_readable() -> None:
    assert [duration(s) for s in (8, 90, 900, 3600, 5400, 90_000, 172_800, 180_000)] == [
        "8 s",
        "1 min 30 s",
        "15 min",
        "1 h",
        "1 h 30 min",
        "25 h",
        "2 d",
        "2 d 2 h",
    ]
    assert number(None) == number(float("nan")) == "-"


def test_the_text_fits_a_terminal_and_names_everything(a_report: Report) -> None:
    text = report_text(a_report)
    assert max(map(len, text.splitlines())) <= 100
    for fact in ("door", "yard", "power cut", "source came back", "throttled 1 h", "hottest"):
        assert fact in text
    curve = re.search(r"detected fps +[\d.]+ to [\d.]+  (.+)", text)
    assert curve is not None
    assert set(curve[1]) <= set(" ▁▂▃▄▅▆▇█")


def test_the_json_is_strict_and_has_the_figures_of_the_text(a_report: Report) -> None:
    facts = json.loads(report_json(a_report))
    door = facts["cameras"][0]
    assert door["name"] == "door"
    assert door["available"] == pytest.approx(a_report.cameras[0].available, abs=1e-6)
    assert door["slowest"][0]["detect_p95_ms"] > 50
    assert [each["cause"] for each in facts["outages"]] == [e.cause for e in a_report.outages]
    assert facts["computer"]["flagged_s"]["throttled"] == 3600


def test_the_page_needs_nothing_else_and_its_drawings_can_be_read_aloud(a_report: Report) -> None:
    page = make_report_html(a_report)
    assert not re.search(r"<script|<link|<img|src=|url\(|@import|https?://", page)
    drawings = re.findall(r'<svg viewBox="0 0 1000.*?</svg>', page, re.DOTALL)
    assert len(drawings) == 2 * 3 + 3
    for drawing in drawings:
        root = ET.fromstring(drawing)  # noqa: S314 - our own
        assert root.get("role") == "img"
        assert re.search(r" in .*: .* from [\d.]+ to [\d.]+", root.get("aria-label") or "")
        titles = [each.text or "" for each in root.iter("title")]
        assert 80 < len(titles) <= 96


def test_curves_are_broken_where_nothing_ran(a_report: Report) -> None:
    page = make_report_html(a_report)
    line = re.search(r'<path class="line c-captured" d="([^"]{99,})"', page)
    assert line is not None
    assert line[1].count("M") == 2, "one power cut; the restart was quick"
    assert 'class="off"' in page
    assert "power cut or crash of the computer; nothing ran for 15 min" in page
    assert 'class="throttled"' in page
    assert 'class="mark back"' in page


def test_a_report_of_one_single_line_can_be_drawn(tmp_path: Path) -> None:
    assert write_history(tmp_path, NOW_S, 1 / 1440, ("yard",)) == 1
    found = make_report(tmp_path, NOW_S - 3600, NOW_S, now=NOW)
    assert "yard" in report_text(found)
    assert 'class="line c-captured"' in make_report_html(found)
