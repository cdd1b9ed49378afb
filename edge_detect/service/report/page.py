"""The report as one HTML file that needs nothing else: no scripts, no fonts, no network."""

from html import escape
from importlib.resources import files

from edge_detect.service.report.summary import FLAGS, CameraSummary, Delays, Report
from edge_detect.service.report.svg import Chart, Mark, Series, Span, flagged_spans
from edge_detect.service.report.words import (
    FLAG_NAMES,
    duration,
    local,
    number,
    outage_text,
    percent,
    since_until,
)
from edge_detect.service.report.worst import Minute

__all__ = ["CONTENT_SECURITY_POLICY", "make_report_html"]

# For whoever serves the page: it has a style sheet and places of labels in itself.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_MOST_EVENTS = 100
_RATES = (
    Series("captured_fps", "captured", "c-captured", band=True),
    Series("detected_fps", "detected", "c-detected", band=True),
    Series("rendered_fps", "rendered", "c-rendered"),
    Series("encoded_fps", "encoded", "c-encoded"),
    Series("dropped_fps", "dropped", "c-dropped"),
)
_DETECT = (
    Series("detect_p99_ms", "p99, worst", "c-p99", line="high"),
    Series("detect_p95_ms", "p95, worst", "c-p95", line="high"),
    Series("detect_p50_ms", "p50, mean", "c-p50"),
)
_ENCODE = (
    Series("encode_p99_ms", "p99, worst", "c-p99", line="high"),
    Series("encode_p95_ms", "p95, worst", "c-p95", line="high"),
    Series("encode_p50_ms", "p50, mean", "c-p50"),
)


def make_report_html(report: Report) -> str:
    """The whole page.

    Args:
        report: From `make_report`.
    """
    style = (files("edge_detect.service.report") / "report.css").read_text(encoding="utf-8")
    cameras = "".join(_camera(each, report) for each in report.cameras)
    title = f"edge-detect, {since_until(report.since_s, report.until_s)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>edge-detect report</h1><p>{_lead(report)}</p></header><main>"
        f"{_overview(report)}{cameras}{_computer(report)}{_events(report)}{_notes(report)}"
        "</main></body></html>"
    )


def _lead(report: Report) -> str:
    lasted = duration(report.until_s - report.since_s)
    return (
        f"{escape(since_until(report.since_s, report.until_s))} · {lasted} · "
        f"a line every {duration(report.interval_s)}"
    )


def _overview(report: Report) -> str:
    head = (
        "<th>Camera</th><th class=n>Available</th><th class=n>Captured fps<br>p50 / least</th>"
        "<th class=n>Detected fps<br>p50 / least</th><th class=n>Capture → detected, ms"
        "<br>p50 / p95 / p99</th><th class=n>Capture → encoded, ms<br>p50 / p95 / p99</th>"
        "<th class=n>Dropped<br>fps</th><th class=n>Recon-<br>nects</th>"
        "<th class=n>Re-<br>starts</th>"
    )
    rows = "".join(
        f'<tr><th scope="row"><a href="#{escape(each.name)}">{escape(each.name)}</a></th>'
        + _cells(
            percent(each.available),
            f"{number(each.captured.p50)} / {number(each.captured.least)}",
            f"{number(each.detected.p50)} / {number(each.detected.least)}",
            _delays(each.capture_to_detect),
            _delays(each.capture_to_encode),
            number(each.dropped_fps, 2),
            str(each.reconnects),
            str(each.restarts),
        )
        + "</tr>"
        for each in report.cameras
    )
    return f'<section class="card">{_table("Cameras", head, rows)}</section>'


def _camera(camera: CameraSummary, report: Report) -> str:
    curves, until_s = camera.curves, report.until_s
    spans = [*_outage_spans(report), *_power_spans(report)]
    marks = [
        *(Mark(each, "back", f"{local(each)}: source came back") for each in camera.reconnected_s),
        *(Mark(each, "again", f"{local(each)}: started again") for each in camera.restarted_s),
    ]
    charts = (
        Chart("Frames", "per second", curves, _RATES, until_s, spans=spans, marks=marks),
        Chart("Capture → detected", "ms", curves, _DETECT, until_s, logarithmic=True, spans=spans),
        Chart("Capture → encoded", "ms", curves, _ENCODE, until_s, logarithmic=True, spans=spans),
    )
    drawn = "".join(each.as_html() for each in charts)
    return (
        f'<section class="card" id="{escape(camera.name)}"><h2>{escape(camera.name)}'
        f"<small>{percent(camera.available)} available · source {escape(camera.source)} in the "
        f"last line</small></h2>{drawn}{_worst(camera)}</section>"
    )


def _worst(camera: CameraSummary) -> str:
    head = (
        "<th>Until</th><th class=n>Live</th><th class=n>Captured<br>fps</th>"
        "<th class=n>Detected<br>fps</th><th class=n>p95<br>ms</th><th class=n>p99<br>ms</th>"
    )
    tables = [
        _table(title, head, "".join(_minute(each) for each in minutes), fold=True)
        for title, minutes in (
            ("Slowest intervals", camera.slowest),
            ("Intervals with the fewest frames", camera.fewest),
        )
        if minutes
    ]
    return f'<div class="pair">{"".join(tables)}</div>'


def _minute(minute: Minute) -> str:
    return (
        f'<tr><th scope="row">{local(minute.end_s)}</th>'
        + _cells(
            number(None if minute.live is None else 100 * minute.live, 0, " %"),
            number(minute.captured_fps),
            number(minute.detected_fps),
            number(minute.detect_p95_ms),
            number(minute.detect_p99_ms),
        )
        + "</tr>"
    )


def _computer(report: Report) -> str:
    computer, until_s = report.computer, report.until_s
    curves = computer.curves
    spans = [*_outage_spans(report), *_power_spans(report)]
    marks = [Mark(each, "reload", f"{local(each)}: new configuration") for each in report.reloads_s]
    marks += [
        Mark(each.ended_s, "again", f"{local(each.ended_s)}: started again")
        for each in report.outages
        if each.ended_s is not None
    ]
    heat = (Series("soc_c", "highest", "c-heat", line="high", band=True),)
    cores = (Series("cpu_cores", "mean", "c-detected", band=True),)
    memory = (Series("rss_mb", "highest", "c-encoded", line="high", band=True),)
    charts = (
        Chart("SoC temperature", "°C", curves, heat, until_s, from_zero=False, spans=spans),
        Chart("CPU of the process", "cores", curves, cores, until_s, spans=spans, marks=marks),
        Chart("Memory of the process", "MB", curves, memory, until_s, spans=spans, marks=marks),
    )
    drawn = "".join(each.as_html() for each in charts)
    facts = [f"{FLAG_NAMES[flag]} {duration(s)}" for flag, s in computer.flagged_s.items() if s]
    if computer.flagged_s and not facts:
        facts = ["never throttled, no under-voltage"]
    if computer.hottest_c is not None and computer.hottest_at_s is not None:
        hottest = f"{number(computer.hottest_c)} °C at {local(computer.hottest_at_s)}"
        facts.insert(0, f"hottest {hottest}")
    small = f"<small>{escape(' · '.join(facts))}</small>"
    return f'<section class="card"><h2>Computer{small}</h2>{drawn}</section>'


def _events(report: Report) -> str:
    events = [(each.began_s, "", outage_text(each, report.until_s)) for each in report.outages]
    events += [(each, "", "configuration applied anew") for each in report.reloads_s]
    for camera in report.cameras:
        events += [(each, camera.name, "source came back") for each in camera.reconnected_s]
        events += [(each, camera.name, "started again") for each in camera.restarted_s]
    if not events:
        return '<section class="card"><h2>No restarts, no reconnects</h2></section>'
    newest = sorted(events, reverse=True)[:_MOST_EVENTS]
    rows = "".join(
        f'<tr><th scope="row">{local(at_s)}</th><td>{escape(name)}</td><td>{escape(text)}</td></tr>'
        for at_s, name, text in newest
    )
    title = "Restarts and reconnects"
    if len(events) > len(newest):
        title += f": the newest {len(newest)} of {len(events)}"
    head = "<th>When</th><th>Camera</th><th>What</th>"
    return f'<section class="card">{_table(title, head, rows, fold=False)}</section>'


def _notes(report: Report) -> str:
    step_s = report.computer.curves.step_s
    damaged = f" {report.unreadable} damaged lines were left out." if report.unreadable else ""
    return (
        f"<footer><p>Times are those of this computer's time zone. Each step of a curve is "
        f"{duration(step_s)} long; the shaded range goes from its lowest to its highest interval, "
        "so that no spike is lost. Available is the share of time in which the source was live, "
        "of the time in which the camera should have run; when the program ran but could not "
        "write its history counts neither way. Percentiles of an interval are measured over its "
        "frames; those of the whole time are estimated from them, weighted by frames. "
        f"Gaps in a curve: nothing is known.{damaged}</p></footer>"
    )


def _outage_spans(report: Report) -> list[Span]:
    return [
        Span(
            each.began_s,
            report.until_s if each.ended_s is None else each.ended_s,
            "off",
            outage_text(each, report.until_s),
        )
        for each in report.outages
    ]


def _power_spans(report: Report) -> list[Span]:
    curves = report.computer.curves
    slowed = [flag for flag in FLAGS if flag != "under_voltage"]
    return [
        *flagged_spans(curves, slowed, "throttled", "throttled or clock capped"),
        *flagged_spans(curves, ["under_voltage"], "under_voltage", "under-voltage"),
    ]


def _delays(delays: Delays) -> str:
    return " / ".join(number(each) for each in (delays.p50, delays.p95, delays.p99))


def _cells(*texts: str) -> str:
    return "".join(f"<td class=n>{escape(text)}</td>" for text in texts)


def _table(title: str, head: str, rows: str, *, fold: bool | None = None) -> str:
    table = (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    if fold:
        return f"<details open><summary>{escape(title)}</summary>{table}</details>"
    return f"<h2>{escape(title)}</h2>{table}"
