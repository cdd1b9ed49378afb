"""The web page under floods: how old pictures are, and how many come, beside a quiet page.

    python benchmarks/web_floods.py [--seconds N] [--rounds N] [--json]

One viewer watches a camera of 25 pictures a second. In every round he does so while nobody else
comes, while 50 connections a second do, while half-open requests pile up, and beside a viewer
who reads nothing. The limit is the camera: nobody can see more pictures than it gives.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.web_clients import connect, read_parts, served

from edge_detect.sinks.web.sink import WebSink

_FPS = 25
_ASK = b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HALF = b"GET / HTTP/1.1\r\nHost: local"
_WATCH = b"GET /stream.mjpg?quality=95 HTTP/1.1\r\nHost: localhost\r\n\r\n"

Flood = Callable[[WebSink, Event], None]


def be_quiet(_sink: WebSink, ended: Event) -> None:
    """Do nothing."""
    ended.wait()


def connect_often(sink: WebSink, ended: Event) -> None:
    """50 connections a second: a third says nothing, a third asks and goes, a third stays."""
    with ExitStack() as stack:
        for number in range(sys.maxsize):
            if ended.wait(1 / 50):
                return
            connection = connect(sink, b"" if number % 3 == 0 else _ASK)
            if number % 3 == 2:
                stack.enter_context(connection)
            else:
                connection.close()


def leave_requests_half_open(sink: WebSink, ended: Event) -> None:
    """As many requests as are accepted, none of which is ever complete."""
    with ExitStack() as stack:
        while not ended.wait(1 / 200):
            stack.enter_context(connect(sink, _HALF))


def read_nothing(sink: WebSink, ended: Event) -> None:
    """Watch, and never read a picture."""
    with connect(sink, _WATCH, receive_buffer=4096):
        ended.wait()


FLOODS: dict[str, Flood] = {
    "quiet": be_quiet,
    "50 connections a second": connect_often,
    "half-open requests": leave_requests_half_open,
    "a viewer who reads nothing": read_nothing,
}


def watch(sink: WebSink, seconds: float) -> tuple[list[float], float]:
    """The ages of all pictures that come, in milliseconds, and the longest wait for one."""
    ages_ms, waits_ms = [], []
    with httpx.stream("GET", f"{sink.address}stream.mjpg", timeout=10) as answer:
        parts = read_parts(answer)
        next(parts)
        before = began = time.monotonic()
        for part in parts:
            now = time.monotonic()
            ages_ms.append(float(part.headers["X-Capture-Age-Ms"]))
            waits_ms.append(1000 * (now - before))
            before = now
            # Up to the picture that belongs to this moment, not beyond it.
            if len(ages_ms) >= round(_FPS * seconds) or now - began > seconds:
                break
    return ages_ms, max(waits_ms)


def measure(flood: Flood, seconds: float) -> tuple[list[float], float, float]:
    """As `watch`, during a flood; and the milliseconds that closing the page takes then."""
    ended = Event()
    with served() as (sink, _):
        thread = Thread(target=flood, args=(sink, ended), name="flood", daemon=True)
        thread.start()
        ages_ms, longest_ms = watch(sink, seconds)
        with connect(sink, _WATCH):
            began = time.monotonic()
            ended.set()
            thread.join()
            sink.close()
            closing_ms = 1000 * (time.monotonic() - began)
    return ages_ms, longest_ms, closing_ms


def compare(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """All floods in turn, several times."""
    measured: dict[str, list[tuple[list[float], float, float]]] = {name: [] for name in FLOODS}
    measure(be_quiet, 1.0)
    for _ in range(rounds):
        for name, flood in FLOODS.items():
            measured[name].append(measure(flood, seconds))
    results = []
    for name, turns in measured.items():
        ages_ms = [age for ages, _, _ in turns for age in ages]
        median, p95, p99 = np.percentile(ages_ms, [50, 95, 99])
        results.append(
            {
                "flood": name,
                "n": len(ages_ms),
                "seen": round(len(ages_ms) / (_FPS * seconds * rounds), 3),
                "median_ms": round(median, 1),
                "p95_ms": round(p95, 1),
                "p99_ms": round(p99, 1),
                "longest_wait_ms": round(max(longest for _, longest, _ in turns)),
                "closing_ms": round(max(closing for _, _, closing in turns)),
            }
        )
    return results


def as_text(results: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        f"{platform.machine()}, Python {platform.python_version()}, a camera of {_FPS} fps",
        "",
        "| flood | n | seen, of all | age ms, median | p95 | p99 | longest wait | closing |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(str(value) for value in row.values())} |" for row in results]
    return "\n".join(lines)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    results = compare(arguments.seconds, arguments.rounds)
    print(json.dumps(results, indent=2) if arguments.json else as_text(results))


if __name__ == "__main__":
    main()
