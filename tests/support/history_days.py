"""A history as a board in a garden would write it: day and night, and all kinds of trouble.

    history_days.py DIRECTORY [DAYS [CAMERAS]]

writes one that ends now. Its lines go through the program's own writer.
"""

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_detect.service.history.record import Event, Moment, Row
from edge_detect.service.history.writer import HistoryWriter

DAY_S = 86_400
HOUR_S = 3_600
CAMERAS = ("door", "garage", "street", "yard")


@dataclass(frozen=True)
class Trouble:
    """What goes wrong on each of the days, in seconds since the beginning of the day.

    Attributes:
        away: From when to when the first camera's source is lost.
        throttled: From when to when the board throttles.
        slow: From when to when the detector is slow.
        off: From when to when the power is off.
        restart: When the program is restarted.
        reload: When a new configuration is applied.
    """

    away: tuple[float, float] = (9.5 * HOUR_S, 10.1 * HOUR_S)
    throttled: tuple[float, float] = (14.2 * HOUR_S, 15.2 * HOUR_S)
    slow: tuple[float, float] = (18.0 * HOUR_S, 18.05 * HOUR_S)
    off: tuple[float, float] = (3.2 * HOUR_S, 3.45 * HOUR_S)
    restart: float = 20.0 * HOUR_S
    reload: float = 12.0 * HOUR_S


def _differ(one: Moment, other: Moment) -> bool:
    """Whether two moments are of different boots or days."""
    return one.boot != other.boot or one.unix_s // DAY_S != other.unix_s // DAY_S


def write_history(
    directory: Path,
    end_s: float,
    days: float,
    cameras: Sequence[str] = CAMERAS,
    *,
    interval_s: float = 60.0,
    trouble: Trouble | None = None,
    midnight_s: float = 0.0,
    keep_days: int = 3650,
) -> int:
    """Write a history that ends at a time, and return the number of its lines with figures.

    Days, and with them the trouble of each, begin at `midnight_s`; 0 is that of UTC.
    """
    writer = HistoryWriter(directory, keep_days, 10**10)
    writer.open()
    lines = 0
    batch: list[Row] = []
    for row in a_history((end_s, days, midnight_s), cameras, interval_s, trouble or Trouble()):
        # As nothing outlives a boot, and each day has its own file.
        if len(batch) >= 240 or (batch and _differ(batch[-1].moment, row.moment)):
            writer.write(batch)
            writer.tidy(lambda: False)
            batch = []
        batch.append(row)
        lines += not row.event
    if batch:
        writer.write(batch)
    writer.close()
    return lines


def a_history(
    period: tuple[float, float, float], cameras: Sequence[str], interval_s: float, trouble: Trouble
) -> Iterator[Row]:
    """All lines, oldest first.

    Args:
        period: Unix time of its end, its length in days, and the unix time of any midnight.
        cameras: Their names.
        interval_s: Between two lines.
        trouble: Of each day.
    """
    end_s, days, midnight_s = period
    chance = random.Random(7)
    begin_s = end_s - days * DAY_S
    boots, up_from_s, off = 0, begin_s - 3 * DAY_S, False
    yield Row(_moment(begin_s, up_from_s, boots), event="start")
    for number in range(1, round(days * DAY_S / interval_s) + 1):
        at_s = begin_s + number * interval_s
        of_day_s = (at_s - interval_s - midnight_s) % DAY_S
        if _within(of_day_s, trouble.off):
            off = True
            continue
        if off:
            off, boots, up_from_s = False, boots + 1, at_s - interval_s - 20
            yield Row(_moment(at_s - interval_s, up_from_s, boots), event="start")
        moment = _moment(at_s, up_from_s, boots)
        yield from _lines(chance, moment, of_day_s, cameras, interval_s, trouble)
        for event in _events(of_day_s, interval_s, trouble):
            # A process takes some seconds to come back.
            late_s = 8 if event == "start" else 0
            yield Row(_moment(at_s + late_s, up_from_s, boots), event=event)


def _events(of_day_s: float, interval_s: float, trouble: Trouble) -> list[Event]:
    if trouble.restart <= of_day_s < trouble.restart + interval_s:
        return ["stop", "start"]
    return ["reload"] if trouble.reload <= of_day_s < trouble.reload + interval_s else []


def _lines(
    chance: random.Random,
    moment: Moment,
    of_day_s: float,
    cameras: Sequence[str],
    interval_s: float,
    trouble: Trouble,
) -> Iterator[Row]:
    throttled = _within(of_day_s, trouble.throttled)
    warm = math.sin((of_day_s / DAY_S - 0.32) * math.tau)
    soc_c = (82.5 if throttled else 57 + 11 * warm) + chance.gauss(0, 0.7)
    board = {
        "cpu_cores": 1.1 + 0.05 * len(cameras) + 0.1 * warm + chance.gauss(0, 0.03),
        "rss_mb": 183 + 3 * chance.random(),
        "soc_c": soc_c,
        "clock_mhz": 1000 if throttled else 2400,
        "under_voltage": 0,
        "clock_capped": float(throttled),
        "throttled": float(throttled),
        "hot_limit": float(soc_c > 80),
    }
    for index, camera in enumerate(cameras):
        lost = index == 0 and _within(of_day_s, trouble.away)
        came_back = index == 0 and trouble.away[1] <= of_day_s < trouble.away[1] + interval_s
        late = 6.0 if _within(of_day_s, trouble.slow) else 1.8 if throttled else 1.0
        base_ms = (13 + 4 * index) * late * (1 + 0.03 * chance.random())
        captured = 0.0 if lost else (30.0, 25.0, 15.0, 10.0)[index % 4]
        watched = 6 * HOUR_S < of_day_s < 22 * HOUR_S and (of_day_s // HOUR_S + index) % 3 == 0
        encoded = captured * watched * 0.998
        figures = {
            "interval_s": interval_s,
            "live": 0.0 if lost else 1.0,
            "captured_fps": captured,
            "detected_fps": captured / (2.2 if throttled else 1.0) * (1 - 0.01 * chance.random()),
            "rendered_fps": encoded,
            "encoded_fps": encoded,
            "dropped_fps": captured * (0.55 if throttled else 0.005 * chance.random()),
            **({} if lost else _percentiles("detect", base_ms, chance)),
            **({} if lost else _percentiles("invoke", base_ms * 0.6, chance)),
            **(_percentiles("encode", base_ms * 0.8, chance) if encoded else {}),
            "viewers": float(watched),
            "reconnects": float(came_back),
            "restarts": 0.0,
        }
        source = "lost" if lost else "live"
        yield Row(moment, camera, source=source, figures={**figures, **board})


def _percentiles(name: str, base_ms: float, chance: random.Random) -> dict[str, float]:
    spike = 1 + 9 * (chance.random() < 0.002)
    return {
        f"{name}_p50_ms": base_ms,
        f"{name}_p95_ms": base_ms * (1.4 + 0.1 * chance.random()) * math.sqrt(spike),
        f"{name}_p99_ms": base_ms * (1.8 + 0.3 * chance.random()) * spike,
    }


def _moment(unix_s: float, up_from_s: float, boots: int) -> Moment:
    return Moment(unix_s, unix_s - up_from_s, f"{boots:08x}")


def _within(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value < span[1]


if __name__ == "__main__":
    DAYS = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    NAMES = CAMERAS[: int(sys.argv[3])] if len(sys.argv) > 3 else CAMERAS
    sys.stdout.write(f"{write_history(Path(sys.argv[1]), time.time(), DAYS, NAMES)} lines\n")
