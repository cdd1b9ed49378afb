"""The history and its report as users have them: the command, a browser, real disks."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.chromium import Tab, chromium
from support.history_days import HOUR_S, write_history
from support.requirements import run_on_a_disk
from support.service_views import PlainCamera, PlainService, a_status

import edge_detect as ed
from edge_detect.service.companion import CameraState
from edge_detect.service.config.settings import HistorySettings
from edge_detect.service.history.companion import HistoryCompanion
from edge_detect.service.history.writer import HistoryWriter
from edge_detect.service.report import make_report

TESTS = Path(__file__).parents[1]


def edge_detect(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_detect.app.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory with two days up to now."""
    state = tmp_path_factory.mktemp("state")
    now_s = time.time()
    # Now is the 23rd hour of a day, so that all of its trouble is over.
    write_history(state / "metrics", now_s, 2.0, ("door", "yard"), midnight_s=now_s - 23 * HOUR_S)
    return state


def test_the_command_prints_a_report_of_its_own_state_directory(history: Path) -> None:
    done = edge_detect("report", STATE_DIRECTORY=f"{history}:/elsewhere")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 h, a line every 1 min" in done.stdout
    assert "power cut or crash of the computer; nothing ran for 15 min" in done.stdout


def test_a_terminal_that_knows_no_arrows_gets_the_report_all_the_same(history: Path) -> None:
    done = edge_detect("report", "--dir", history / "metrics", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "24 h, a line every 1 min" in done.stdout


def test_period_camera_and_json_can_be_chosen(history: Path) -> None:
    directory = history / "metrics"
    done = edge_detect("report", "--dir", directory, "--since", "7d", "--camera", "yard", "--json")
    facts = json.loads(done.stdout)
    assert [each["name"] for each in facts["cameras"]] == ["yard"]
    assert facts["cameras"][0]["recorded_s"] == pytest.approx(2 * 86_400, rel=0.03)


def test_mistakes_are_one_clear_error_each(history: Path, tmp_path: Path) -> None:
    directory = history / "metrics"
    done = edge_detect("report", "--dir", directory, "--since", "yesterday")
    assert done.returncode == 78
    assert "--since 'yesterday' is neither a time ago nor a date" in done.stderr
    done = edge_detect("report", "--dir", directory, "--camera", "garden")
    assert (done.returncode, "there are: door, yard" in done.stderr) == (78, True)
    done = edge_detect("report", STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 78
    assert "there is no history" in done.stderr
    assert "run --config" in done.stderr
    done = edge_detect("report", "--dir", directory, "--html", tmp_path / "no" / "page.html")
    assert (done.returncode, "No such file" in done.stderr) == (74, True)
    assert "Traceback" not in done.stderr


def test_the_page_is_whole_in_a_browser_light_dark_and_on_a_phone(
    history: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    done = edge_detect("report", "--dir", history / "metrics", "--since", "2d", "--html", page)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"wrote {page}\n")
    grounds = set()
    with chromium(tmp_path / "profile") as browser:
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
            tab = Tab(browser, viewport={"width": width, "height": 800}, color_scheme=scheme)
            tab.page.goto(page.as_uri())
            assert tab.complaints == []
            assert tab.hosts == {""}, "only the file itself"
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
            heights = tab.page.evaluate(
                "[...document.querySelectorAll('.line')].filter(line => line.closest('.plot'))"
                ".map(line => line.getBoundingClientRect().width)"
            )
            assert len(heights) >= 2 * (5 + 3 + 3) + 3
            assert max(heights) > 0.6 * min(width, 1080)
            grounds.add(tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            tab.close()
    assert len(grounds) == 2


def test_a_real_pipeline_is_written_down_as_it_ran(tmp_path: Path) -> None:
    source = "synthetic://?size=320x240&fps=25&objects=2"
    model = "ssdlite-mobilenet-v2-pedestrian"
    with ed.Pipeline(source, model=model, sinks=["null://"]) as pipeline:
        camera = PlainCamera(now=CameraState("starting"))
        service = PlainService([camera], state_directory=tmp_path)
        companion = HistoryCompanion(HistorySettings(interval_s=1))
        companion.start(service)
        companion.add_camera(camera)
        began, ended = time.monotonic(), time.monotonic() + 4.5
        for _ in pipeline:
            camera.counted, camera.now = (
                pipeline.totals(),
                CameraState("running", status=a_status()),
            )
            if time.monotonic() > ended:
                break
        companion.stop()
        lasted_s = time.monotonic() - began
        # What it was told last: the pipeline counts on meanwhile.
        seen = camera.counted
    (path,) = (tmp_path / "metrics").glob("*.csv")
    lines = [line for line in csv.DictReader(path.read_text().splitlines()) if not line["event"]]
    frames = {
        stage: sum(float(line[f"{stage}_fps"]) * float(line["interval_s"]) for line in lines)
        for stage in ("captured", "detected")
    }
    assert frames["captured"] == pytest.approx(seen.frames["captured"], abs=3)
    assert frames["detected"] == pytest.approx(seen.frames["detected"], abs=3)
    spans_s = sum(float(line["interval_s"]) for line in lines)
    assert spans_s == pytest.approx(lasted_s, abs=2)
    (found,) = make_report(tmp_path / "metrics", time.time() - 60).cameras
    true = seen.durations["capture_to_detect"].percentiles()
    assert found.capture_to_detect.p50 == pytest.approx(true.p50, rel=0.3)


def test_another_process_on_the_same_directory_is_kept_out(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edge_detect.service.history.writer import HistoryWriter\n"
        "for _ in sys.stdin:\n"
        "    try:\n"
        "        HistoryWriter(Path(sys.argv[1]), 90, 10**8).open()\n"
        "    except BlockingIOError:\n"
        "        print('kept out', flush=True)\n"
        "    else:\n"
        "        print('let in', flush=True)\n"
    )
    writer = HistoryWriter(tmp_path / "metrics", 90, 10**8)
    with subprocess.Popen(
        [sys.executable, "-c", code, writer.directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        said = []
        for turn in (writer.open, writer.close):
            turn()
            other.stdin.write("\n")
            other.stdin.flush()
            said.append(other.stdout.readline())
        other.stdin.close()
    assert said == ["kept out\n", "let in\n"]
    writer.open()
    writer.close()


def test_a_process_killed_at_any_moment_leaves_a_history_that_can_be_read(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edge_detect.service.history.record import Row, moment_now\n"
        "from edge_detect.service.history.writer import HistoryWriter\n"
        "writer = HistoryWriter(Path(sys.argv[1]), 90, 1_000_000)\n"
        "writer.open()\n"
        "writer.write([Row(moment_now(), event='start')])\n"
        "while True:\n"
        "    figures = {'interval_s': 0.01, 'live': 1.0, 'captured_fps': 30.0}\n"
        "    writer.write([Row(moment_now(), 'yard', figures=figures)] * 20)\n"
        "    writer.tidy(lambda: False)\n"
        "    sys.stdout.write('.')\n"
        "    sys.stdout.flush()\n"
    )
    for batches in (1, 30, 100, 301):
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert len(process.stdout.read(batches)) == batches
            process.send_signal(signal.SIGKILL)
    found = make_report(tmp_path, time.time() - 600)
    assert found.unreadable == 0
    assert [each.cause for each in found.outages if each.ended_s] == ["killed"] * 3
    assert found.cameras[0].recorded_s > 1


def test_a_full_disk_pauses_the_history_and_costs_no_line(tmp_path: Path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    mount = f"mount -t tmpfs -o size=1m tmpfs {disk}"
    done = run_on_a_disk("unshare -rm", mount, "history_small_disk.py", disk, out)
    assert done.stderr == ""
    facts = json.loads(done.stdout)
    where = f"the history in {disk}/metrics"
    assert facts["said"] == [
        f"{where} pauses: No space left on device",
        f"{where} goes on; lines lost so far: 0",
    ]
    (path,) = (out / "metrics").glob("*.csv")
    lines = list(csv.DictReader(path.read_text().splitlines()))
    cameras = [line["camera"] for line in lines]
    assert cameras == ["before", *["while"] * facts["written"], "after"]
    assert {len(line) for line in lines} == {len(lines[0])}
