#!/usr/bin/env python3
"""Draws the Grafana dashboard as a page or a picture, from a Prometheus and without a Grafana.

The panels' own queries are asked over the wanted time, and drawn in the dashboard's layout:

    scripts/render_dashboard.py --prometheus http://127.0.0.1:9090 --span 600 dashboard.png
"""

import argparse
import html
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard_charts import Series, heatmap, lines, stat, timeline

DASHBOARD = Path(__file__).parents[1] / "deploy/grafana/edge-detect.json"

COLUMN, ROW, GAP = 50, 32, 8
WIDTH = 24 * COLUMN + GAP
HEAD = 58

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ margin: 0; background: #111217; color: #d5d8de; font: 12px "DejaVu Sans", sans-serif; }}
header {{ display: flex; align-items: baseline; gap: 14px; padding: 16px 16px 0; }}
h1 {{ font-size: 18px; font-weight: 600; margin: 0; }}
header span {{ color: #8e949f; }}
section {{ position: absolute; box-sizing: border-box; background: #1a1c22; overflow: hidden;
  border: 1px solid #2a2d35; border-radius: 4px; }}
h2 {{ font-size: 12px; font-weight: 600; margin: 8px 10px 0; }}
svg {{ display: block; }}
svg text {{ font: 10px "DejaVu Sans", sans-serif; fill: #8e949f; }}
svg text.value {{ font-size: 30px; font-weight: 600; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 0 12px; padding: 0 10px; font-size: 10px;
  color: #b4b9c3; height: 28px; overflow: hidden; }}
.legend i {{ display: inline-block; width: 12px; height: 3px; margin-right: 5px;
  vertical-align: middle; border-radius: 1px; }}
</style>
<header><h1>{title}</h1><span>{subtitle}</span></header>
{sections}
"""


@dataclass(frozen=True)
class Asked:
    """From when to when, and how finely; times in seconds since 1970."""

    begin: float
    end: float
    step: float


def fill_in(expression: str, rate_interval: str = "1m") -> str:
    """A panel's query with everything chosen, as Grafana fills in its variables."""
    for name, value in {
        "$__rate_interval": rate_interval,
        "$instance": ".*",
        "$camera": ".*",
    }.items():
        expression = expression.replace(name, value)
    return expression


def ask(prometheus: str, path: str, **parameters: str) -> Any:
    """The data of Prometheus' answer.

    Raises:
        urllib.error.HTTPError: The query is wrong.
        OSError: It does not answer within ten seconds.
    """
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{query}", timeout=10) as answer:  # noqa: S310 - the user's own
        return json.load(answer)["data"]


def series_of(prometheus: str, target: dict[str, Any], asked: Asked, rate: str) -> list[Series]:
    """What a query of a panel gives over the time."""
    data = ask(
        prometheus,
        "query_range",
        query=fill_in(target["expr"], rate),
        start=f"{asked.begin:.3f}",
        end=f"{asked.end:.3f}",
        step=f"{asked.step:g}",
    )
    found = []
    for each in data["result"]:
        name = target["legendFormat"]
        for label, value in each["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        points = [(float(at), float(value)) for at, value in each["values"]]
        finite = [(at, value) for at, value in points if value == value]  # noqa: PLR0124 - NaN
        if finite:
            found.append(Series(name, finite))
    return sorted(found, key=lambda series: series.name)


def draw_panel(panel: dict[str, Any], found: list[Series], asked: Asked) -> str:
    """One panel as HTML."""
    place = panel["gridPos"]
    left, top = GAP + place["x"] * COLUMN, HEAD + place["y"] * ROW
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    legend = ""
    inner = (width - 2, height - 28)
    span = (asked.begin, asked.end)
    defaults = panel["fieldConfig"]["defaults"]
    match panel["type"]:
        case "stat":
            chart = stat(found, inner, span, defaults)
        case "heatmap":
            chart = heatmap(found, inner, span)
        case "state-timeline":
            chart = timeline(found, inner, span, defaults)
        case _:
            chart, legend = lines(found, (inner[0], inner[1] - 30), span, asked.step, defaults)
    style = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
    title = html.escape(panel["title"])
    return f'<section style="{style}"><h2>{title}</h2>{chart}{legend}</section>'


def render(prometheus: str, span_s: float, rate: str, end: float | None = None) -> tuple[str, int]:
    """The whole page, and how high it is in pixels."""
    dashboard = json.loads(DASHBOARD.read_text())
    # Its clock may be another than this computer's.
    end = end or float(ask(prometheus, "query", query="time()")["result"][1])
    asked = Asked(end - span_s, end, max(1.0, span_s / 240))
    sections = []
    for panel in dashboard["panels"]:
        found = [
            series
            for target in panel["targets"]
            for series in series_of(prometheus, target, asked, rate)
        ]
        sections.append(draw_panel(panel, found, asked))
    height = HEAD + max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"]) * ROW
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(end))
    page = PAGE.format(
        title=html.escape(dashboard["title"]),
        subtitle=f"{span_s / 60:.0f} minutes up to {when}, drawn from the dashboard's own queries",
        sections="\n".join(sections),
    )
    return page, height + GAP


def take_picture(page: Path, picture: Path, height: int) -> None:
    """Have Chromium open the page and take a picture of it.

    Raises:
        subprocess.SubprocessError: It does not start, or takes longer than a minute.
    """
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [  # noqa: S607 - wherever the system has it
                "chromium",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                f"--window-size={WIDTH},{height}",
                f"--screenshot={picture.absolute()}",
                page.absolute().as_uri(),
            ],
            check=True,
            timeout=60,
            capture_output=True,
        )


def main() -> int:
    """Draw; the end of the file's name says whether it is a page or a picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", help="its address")
    parser.add_argument("--span", type=float, default=3600, help="seconds back from the end")
    parser.add_argument("--end", type=float, help="seconds since 1970; now")
    parser.add_argument("--rate", default="1m", help="over how long rates are taken, e.g. 5m")
    parser.add_argument("output", type=Path, help="NAME.html or NAME.png")
    arguments = parser.parse_args()
    page, height = render(arguments.prometheus, arguments.span, arguments.rate, arguments.end)
    if arguments.output.suffix != ".png":
        arguments.output.write_text(page)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dashboard.html"
        path.write_text(page)
        take_picture(path, arguments.output, height)
    return 0


if __name__ == "__main__":
    sys.exit(main())
