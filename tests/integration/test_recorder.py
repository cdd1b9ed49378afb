"""Recordings are read back with FFmpeg, which did not write them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from support.recordings import Camera, check_plays, numbers, probe, stream_info

from edge_detect.core import SinkError
from edge_detect.sinks import open_sink
from edge_detect.sinks.encoder import EncoderSettings

TESTS = Path(__file__).parent.parent
FRAGMENT = 30


def segments(root):
    return sorted(root.glob("*/*.mp4"))


def wait_for(condition, timeout_s=10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def test_pieces_hold_every_picture_once_and_play_at_the_right_speed(tmp_path) -> None:
    encoded: list[int] = []
    camera = Camera()
    with open_sink(f"mp4://{tmp_path}/new?segment=5s") as sink:
        assert not sink.wants_picture
        sink.open(stream_info(encoded=encoded))
        assert sink.wants_picture
        camera.feed(sink, 400)
    paths = segments(tmp_path / "new")
    assert [len(numbers(path)) for path in paths] == [150, 150, 100]
    assert [number for path in paths for number in numbers(path)] == list(range(400))
    assert len(encoded) == 400
    for path, frames in zip(paths, (150, 150, 100), strict=True):
        check_plays(path)
        stream = probe(path)
        assert int(stream["nb_read_frames"]) == int(stream["nb_frames"]) == frames
        assert float(stream["duration"]) == pytest.approx(frames / 30, abs=0.001)
        assert stream["avg_frame_rate"] == "30/1"
        assert stream["codec_tag_string"] == "avc1"
        assert (stream["color_space"], stream["color_range"]) == ("smpte170m", "tv")


def test_names_are_local_date_and_time_of_the_first_picture(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        camera = Camera(start_ns=time.monotonic_ns() - 90 * 10**9)
        expected = time.localtime(time.time() - 90)
        with open_sink(f"mp4://{tmp_path}") as sink:
            sink.open(stream_info())
            camera.feed(sink, 5)
        (path,) = segments(tmp_path)
        name = f"{path.parent.name} {path.stem}"
        begun = time.mktime(time.strptime(name, "%Y-%m-%d %H-%M-%S"))
        assert begun == pytest.approx(time.mktime(expected), abs=1)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_pictures_that_were_left_out_leave_the_speed_right(tmp_path) -> None:
    camera = Camera()
    with open_sink(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
        camera.feed(sink, 30)
        for _ in range(30):
            camera.picture()
        camera.feed(sink, 30)
    (path,) = segments(tmp_path)
    assert numbers(path) == [*range(30), *range(60, 90)]
    assert float(probe(path)["duration"]) == pytest.approx(3, abs=0.001)


def test_a_file_that_is_read_fast_is_recorded_at_its_own_speed(tmp_path) -> None:
    camera = Camera(start_ns=time.monotonic_ns())
    with open_sink(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
        for _ in range(60):
            picture = camera.picture()
            object.__setattr__(picture.frame, "captured_ns", time.monotonic_ns())
            sink.write_picture(picture)
    (path,) = segments(tmp_path)
    assert float(probe(path)["duration"]) == pytest.approx(2, abs=0.001)


def test_a_recorder_and_another_sink_share_one_encode(tmp_path) -> None:
    stream, camera = stream_info(), Camera()
    first = open_sink(f"mp4://{tmp_path}/a")
    second = open_sink(f"mp4://{tmp_path}/b")
    with first, second:
        first.open(stream)
        second.open(stream)
        for _ in range(90):
            picture = camera.picture()
            first.write_picture(picture)
            second.write_picture(picture)
    one, other = segments(tmp_path / "a"), segments(tmp_path / "b")
    assert numbers(one[0]) == numbers(other[0]) == list(range(90))
    assert one[0].read_bytes() == other[0].read_bytes()


def test_a_video_of_another_size_is_another_recording(tmp_path) -> None:
    stream = stream_info()
    with open_sink(f"mp4://{tmp_path}") as sink:
        sink.open(stream)
        Camera(320, 240).feed(sink, 20)
        # An encoder that failed is opened anew, for the pictures as they are then.
        stream.encoders.get(EncoderSettings())._codec = None
        Camera(640, 360, number=20).feed(sink, 20)
    sizes = [(probe(path)["width"], probe(path)["height"]) for path in segments(tmp_path)]
    assert sizes == [(320, 240), (640, 360)]
    assert [numbers(path) for path in segments(tmp_path)] == [list(range(20)), list(range(20, 40))]


def test_a_second_recorder_in_the_same_directory_is_refused(tmp_path) -> None:
    with open_sink(f"mp4://{tmp_path}") as first, open_sink(f"mp4://{tmp_path}") as second:
        first.open(stream_info())
        with pytest.raises(SinkError, match="another recorder") as caught:
            second.open(stream_info())
        assert caught.value.transient
        first.close()
        second.open(stream_info())


def test_without_pictures_the_recording_is_finished_and_goes_on_in_a_new_one(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("edge_detect.sinks.recorder.sink._IDLE_S", 1.0)
    camera = Camera()
    with open_sink(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
        camera.feed(sink, 40)
        (path,) = segments(tmp_path)
        wait_for(lambda: path.stat().st_size > 0 and len(numbers(path)) == 40)
        check_plays(path)
        camera.skip_ns += 3_600_000_000_000
        camera.feed(sink, 20)
    first, second = segments(tmp_path)
    assert numbers(first) == list(range(40))
    assert numbers(second) == list(range(40, 60))
    assert float(probe(second)["duration"]) == pytest.approx(20 / 30, abs=0.001)


def test_nothing_stays_behind_after_many_recordings(tmp_path) -> None:
    stream, camera = stream_info(), Camera(64, 48)
    before = None
    with open_sink(f"mp4://{tmp_path}") as sink:
        for _ in range(50):
            sink.open(stream)
            camera.feed(sink, 2)
            sink.close()
            counts = (threading.active_count(), psutil.Process().num_fds())
            before = before or counts
        assert counts == before
    assert sum(len(numbers(path)) for path in segments(tmp_path)) == 100


@pytest.mark.parametrize("path", ["/proc/recordings", "{here}/file"])
def test_a_directory_that_cannot_be_made_is_an_error_with_a_hint(tmp_path, path) -> None:
    (tmp_path / "file").touch()
    sink = open_sink(f"mp4://{path.format(here=tmp_path)}")
    with pytest.raises(SinkError, match="cannot write") as caught:
        sink.open(stream_info())
    assert not caught.value.transient
    sink.close()


def test_what_does_not_come_back_at_once_is_tried_again_if_it_worked_before(tmp_path) -> None:
    root, camera = tmp_path / "disk", Camera()
    with open_sink(f"mp4://{root}") as sink:
        sink.open(stream_info())
        camera.feed(sink, 5)
        sink.close()
        root.rename(tmp_path / "away")
        root.touch()
        with pytest.raises(SinkError) as caught:
            sink.open(stream_info())
        assert caught.value.transient


RECORDER = """
import sys
from support.recordings import Camera, stream_info
from edge_detect.sinks import open_sink

camera = Camera()
with open_sink(sys.argv[1]) as sink:
    sink.open(stream_info())
    while True:
        camera.feed(sink, 1, *([("person", 0.9)] if camera.number > 150 else []))
        if camera.number == 400:
            print(400, flush=True)
"""


def kill_while_it_records(url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    recorder = subprocess.Popen(
        [sys.executable, "-c", RECORDER, url], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert recorder.stdout is not None
        assert recorder.stdout.readline() == "400\n"
    finally:
        os.kill(recorder.pid, signal.SIGKILL)
        recorder.communicate(timeout=10)


def test_recordings_of_a_killed_process_play_up_to_their_last_second(tmp_path) -> None:
    kill_while_it_records(f"mp4://{tmp_path}?segment=5s")
    *whole, last = segments(tmp_path)
    if not (found := numbers(last) if last.stat().st_size > 2000 else []):
        # It was killed in the first second of this one.
        last = whole.pop()
        found = numbers(last)
    check_plays(last)
    recorded = [number for path in whole for number in numbers(path)] + found
    assert recorded == list(range(len(recorded)))
    # The queue and the running fragment may be missing: the pictures come as fast as they can.
    assert len(recorded) >= 400 - 5 * FRAGMENT
    with open_sink(f"mp4://{tmp_path}?keep=1kB&reserve=0MB") as sink:
        sink.open(stream_info())
        assert segments(tmp_path) == []


def test_a_full_disk_pauses_or_makes_room_but_spoils_nothing(tmp_path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    mount = f"mount -t tmpfs -o size=5m tmpfs {disk}"
    done = run_on_a_disk("unshare -rm", mount, "small_disk.py", disk, out)
    assert done.stderr == ""
    acts = json.loads(done.stdout)

    pause = acts["pause"]
    assert "pauses: No space left on device" in pause["message"] == pause["again"]
    assert pause["transient"]
    assert "keep=" in pause["hint"]
    assert pause["empty"] == []
    before = [number for path in segments(out / "before") for number in numbers(path)]
    assert before == list(range(len(before)))
    assert len(before) > 150
    assert numbers(out / "after.mp4") == list(range(pause["resumed"], pause["resumed"] + 30))

    assert acts["keep"]["most"] <= 2_000_000 + 700_000
    assert acts["reserve"]["least_free"] >= 2_000_000 - 700_000
    for name in ("keep", "reserve", "full"):
        kept = [number for path in segments(out / name) for number in numbers(path)]
        assert kept == list(range(kept[0], 600))
        assert kept[0] > 0
    for path in [*out.rglob("*.mp4")]:
        check_plays(path)

    assert acts["crowded"] == {
        "message": f"recording to {disk}/crowded pauses: 0 MB are free on the disk, and 1 MB are "
        "to stay free",
        "transient": True,
        "kept": True,
    }


@pytest.mark.endurance
def test_a_disk_that_hangs_holds_nobody_up_and_costs_whole_groups_of_pictures_at_most(
    tmp_path,
) -> None:
    disk, out, memory = tmp_path / "disk", tmp_path / "out", tmp_path / "memory"
    for folder in (disk, out, memory):
        folder.mkdir()
    image = memory / "image"
    mount = f"mount -t tmpfs tmpfs {memory} && truncate -s 32M {image} && mkfs.ext4 -q {image} "
    mount += f"&& mount -o loop {image} {disk}"
    done = run_on_a_disk("unshare -m", mount, "hanging_disk.py", disk, out)
    acts = json.loads(done.stdout)

    for name in ("short", "long"):
        act = acts[name]
        (path,) = segments(out / name)
        check_plays(path)
        recorded = numbers(path)
        assert recorded == sorted(set(recorded))
        assert recorded[-1] == act["last"]
        lost = set(range(act["last"])) - set(recorded)
        hung = set(range(act["frozen"], act["thawed"] + FRAGMENT + 1))
        # A loaded machine leaves out a picture now and then, anywhere.
        assert len(lost - hung) < 20
        assert len(lost & hung) < 20 if name == "short" else len(lost & hung) > 20
        assert act["longest_s"] < (0.9 if name == "short" else 2)

    assert "does not answer" in acts["close"]["message"]
    assert acts["close"]["seconds"] < 1.5


def run_on_a_disk(namespace, mount, script, disk, out) -> subprocess.CompletedProcess[str]:
    """Run a script that has a disk of its own; skip the test where that is not allowed."""
    shell = f"{mount} && exec {sys.executable} {TESTS / 'support' / script} {disk} {out}"
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [*namespace.split(), "sh", "-c", shell]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    # A kernel that lets nobody mount anything is no fault of ours, wherever the test runs; a
    # missing program is.
    refused = ("unshare:", "mount:", "mkfs")
    if done.returncode and done.stderr.startswith(refused) and "not found" not in done.stderr:
        pytest.skip(f"this system does not allow a disk of one's own: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done
