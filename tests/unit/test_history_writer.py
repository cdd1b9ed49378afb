"""The files of the history: whole lines, in order, within bounds, whatever the power does."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_detect.service.history.files import list_files
from edge_detect.service.history.record import COLUMNS, NUMBERS, TEXTS, Moment, Row, header
from edge_detect.service.history.writer import HistoryWriter

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400


def row(unix_s: float, *, up_s: float | None = None, camera: str = "yard") -> Row:
    up_s = unix_s - NOON + 1000 if up_s is None else up_s
    return Row(Moment(unix_s, up_s, "0a1b2c3d"), camera, "", "live", {"captured_fps": 30.0})


def lines_in(directory: Path) -> list[dict[str, str]]:
    """All lines in the order of the files."""
    found = []
    for file in list_files(directory):
        data = file.path.read_bytes()
        text = (gzip.decompress(data) if file.packed else data).decode()
        assert text.endswith("\n")
        found += list(csv.DictReader(text.splitlines()))
    return found


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


@pytest.fixture
def writer(directory: Path) -> Iterator[HistoryWriter]:
    writer = HistoryWriter(directory, keep_days=90, keep_bytes=10**8)
    writer.open()
    yield writer
    writer.close()


def write_and_tidy(writer: HistoryWriter, rows: Sequence[Row]) -> None:
    writer.write(rows)
    writer.tidy(lambda: False)


def test_a_line_has_a_cell_for_every_column_and_blanks_where_nothing_is_known() -> None:
    cells = next(csv.reader([row(NOON).as_line()]))
    line = dict(zip(COLUMNS, cells, strict=True))
    assert line["time"] == "2026-05-01T12:00:00Z"
    assert (line["boot"], line["camera"], line["source"]) == ("0a1b2c3d", "yard", "live")
    assert (line["up_s"], line["captured_fps"], line["soc_c"]) == ("1000", "30", "")


def test_the_documentation_has_every_column_with_its_meaning() -> None:
    text = (Path(__file__).parents[2] / "docs" / "history.md").read_text()
    table = [f"| `{name}` | {meaning} |" for name, meaning in {**TEXTS, **NUMBERS}.items()]
    assert all({**TEXTS, **NUMBERS}.values())
    assert text.endswith("\n".join(["| --- | --- |", *table, ""]))


def test_each_day_has_a_file_and_complete_ones_are_compressed(
    writer: HistoryWriter, directory: Path
) -> None:
    for day in range(3):
        write_and_tidy(writer, [row(NOON + day * DAY_S)])
    assert names_in(directory) == ["2026-05-01.csv.gz", "2026-05-02.csv.gz", "2026-05-03.csv"]
    assert [line["time"][:10] for line in lines_in(directory)] == [
        "2026-05-01",
        "2026-05-02",
        "2026-05-03",
    ]


def test_a_clock_that_starts_in_1970_appends_to_the_newest_file(directory: Path) -> None:
    for unix_s in (NOON, 5.0, NOON + 300):
        writer = HistoryWriter(directory, 90, 10**8)
        writer.open()
        write_and_tidy(writer, [row(unix_s)])
        writer.close()
    assert names_in(directory) == ["2026-05-01.csv"]
    assert [line["time"] for line in lines_in(directory)] == [
        "2026-05-01T12:00:00Z",
        "1970-01-01T00:00:05Z",
        "2026-05-01T12:05:00Z",
    ]


def test_a_clock_that_stands_on_one_day_still_begins_a_file_each_day(
    writer: HistoryWriter, directory: Path
) -> None:
    for day in range(3):
        write_and_tidy(writer, [row(NOON, up_s=20 + day * (DAY_S + 1))])
    assert names_in(directory) == [
        "2026-05-01.csv.gz",
        "2026-05-01_2.csv.gz",
        "2026-05-01_3.csv",
    ]
    assert len(lines_in(directory)) == 3


def test_days_count_again_after_a_clock_that_was_in_the_future(directory: Path) -> None:
    writer = HistoryWriter(directory, keep_days=10, keep_bytes=10**8)
    writer.open()
    write_and_tidy(writer, [row(NOON)])
    write_and_tidy(writer, [row(NOON + 26_000 * DAY_S, up_s=1060)])
    hours = range(2, 60 * 24, 2)
    for hour in hours:
        write_and_tidy(writer, [row(NOON + hour * 3600)])
        if hour == 10:
            assert names_in(directory) == [
                "2026-05-01.csv.gz",
                "2026-05-01_back1.csv",
                "2097-07-07.csv.gz",
            ]
    writer.close()
    names = names_in(directory)
    assert (len(names), names[-1]) == (10, "2026-06-30_back1.csv")
    times = [line["time"] for line in lines_in(directory)]
    assert times == sorted(times), "in the order of writing"


def test_the_files_keep_the_order_of_writing_whatever_the_clock_did(directory: Path) -> None:
    """Ahead, right, then in the past for days, then right again; with a restart each time."""
    up_s = 0.0
    for days in (0, 4000, 0, 1, -15_000, -14_999, 3, 4):
        writer = HistoryWriter(directory, 90, 10**8)
        writer.open()
        for _ in range(4):
            up_s += 2000
            write_and_tidy(writer, [row(NOON + days * DAY_S, up_s=up_s)])
        writer.close()
    assert [file.path.name.removesuffix(".gz") for file in list_files(directory)] == [
        "2026-05-01.csv",
        "2037-04-13.csv",
        "2026-05-01_back1.csv",
        "2026-05-02_back1.csv",
        "1985-04-06_back2.csv",
        "1985-04-07_back2.csv",
        "2026-05-04_back2.csv",
        "2026-05-05_back2.csv",
    ]
    assert [float(line["up_s"]) for line in lines_in(directory)] == [
        2000.0 * number for number in range(1, 33)
    ]


def test_a_clock_that_jumps_to_and_fro_within_an_hour_deletes_nothing(directory: Path) -> None:
    writer = HistoryWriter(directory, keep_days=3, keep_bytes=10**8)
    writer.open()
    for minute in range(200):
        unix_s = NOON + minute * 60 + (4000 * DAY_S if minute % 30 == 0 else 0)
        write_and_tidy(writer, [row(unix_s, up_s=1000 + minute * 60)])
    writer.close()
    assert names_in(directory) == ["2037-04-13.csv"]
    assert len(lines_in(directory)) == 200


def test_half_a_line_and_zeros_after_a_power_cut_are_cut_off(directory: Path) -> None:
    directory.mkdir()
    whole = header() + row(NOON).as_line()
    path = directory / "2026-05-01.csv"
    for rest in (b"2026-05-01T12:01:00Z,0a1b", b"\0" * 200_000, b"2026-05-01T1\0\0\0"):
        path.write_bytes(whole.encode() + rest)
        writer = HistoryWriter(directory, 90, 10**8)
        writer.open()
        writer.write([row(NOON + 120)])
        writer.close()
        assert path.read_text() == whole + row(NOON + 120).as_line()


def test_a_file_without_a_single_whole_line_gets_its_header_anew(directory: Path) -> None:
    directory.mkdir()
    (directory / "2026-05-01.csv").write_bytes(header().encode()[:40])
    writer = HistoryWriter(directory, 90, 10**8)
    writer.open()
    writer.write([row(NOON)])
    writer.close()
    assert (directory / "2026-05-01.csv").read_text() == header() + row(NOON).as_line()


def test_a_power_cut_while_compressing_loses_and_doubles_nothing(directory: Path) -> None:
    directory.mkdir()
    text = header() + row(NOON).as_line()
    (directory / "2026-04-29.csv").write_text(text)
    (directory / "2026-04-29.csv.gz").write_bytes(gzip.compress(text.encode()))
    (directory / "2026-04-30.csv").write_text(text)
    (directory / "2026-04-30.csv.gz.part").write_bytes(b"\x1f\x8b")
    writer = HistoryWriter(directory, 90, 10**8)
    writer.open()
    write_and_tidy(writer, [row(NOON)])
    writer.close()
    assert names_in(directory) == ["2026-04-29.csv.gz", "2026-04-30.csv.gz", "2026-05-01.csv"]
    assert len(lines_in(directory)) == 3


def test_other_columns_of_another_version_get_a_file_of_their_own(directory: Path) -> None:
    directory.mkdir()
    (directory / "2026-05-01.csv").write_text("time,boot,camera,event,source,up_s\n")
    writer = HistoryWriter(directory, 90, 10**8)
    writer.open()
    write_and_tidy(writer, [row(NOON)])
    writer.close()
    assert names_in(directory) == ["2026-05-01.csv.gz", "2026-05-01_2.csv"]


def test_the_oldest_days_go_first_and_a_wrong_clock_costs_one_day_at_most(directory: Path) -> None:
    writer = HistoryWriter(directory, keep_days=3, keep_bytes=10**8)
    writer.open()
    for day in range(5):
        write_and_tidy(writer, [row(NOON + day * DAY_S)])
    kept = ["2026-05-03.csv.gz", "2026-05-04.csv.gz"]
    assert names_in(directory) == [*kept, "2026-05-05.csv"]
    # Ten years ahead for a moment: one day more, and so one day less.
    write_and_tidy(writer, [row(NOON + 3650 * DAY_S)])
    assert names_in(directory) == ["2026-05-04.csv.gz", "2026-05-05.csv.gz", "2036-04-28.csv"]
    writer.close()


def test_all_files_together_stay_within_their_bound(directory: Path) -> None:
    keep_bytes = 100_000
    writer = HistoryWriter(directory, 90, keep_bytes)
    writer.open()
    largest = 0
    for number in range(150):
        batch = [row(NOON + number * 60, camera=f"camera{each}") for each in range(50)]
        write_and_tidy(writer, batch)
        largest = max(largest, sum(path.stat().st_size for path in directory.iterdir()))
    writer.close()
    assert largest <= keep_bytes
    newest = lines_in(directory)[-1]
    assert newest["time"] == "2026-05-01T14:29:00Z"
    assert len(lines_in(directory)) > 1000


def test_a_file_that_somebody_deletes_is_begun_anew(writer: HistoryWriter, directory: Path) -> None:
    writer.write([row(NOON)])
    (directory / "2026-05-01.csv").unlink()
    writer.write([row(NOON + 60)])
    assert [line["time"] for line in lines_in(directory)] == ["2026-05-01T12:01:00Z"]


def test_foreign_files_are_left_alone(directory: Path) -> None:
    directory.mkdir()
    (directory / "notes.csv").write_text("mine")
    (directory / "2026-05-01.csv.bak").write_text("mine")
    writer = HistoryWriter(directory, keep_days=1, keep_bytes=1000)
    writer.open()
    write_and_tidy(writer, [row(NOON)])
    write_and_tidy(writer, [row(NOON + DAY_S)])
    writer.close()
    assert names_in(directory) == ["2026-05-01.csv.bak", "2026-05-02.csv", "notes.csv"]
