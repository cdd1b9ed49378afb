"""Recordings are read back with FFmpeg, which did not write them."""

import json
import threading
import time
from pathlib import Path

import psutil
import pytest
from support.recordings import (
    Camera,
    check_plays,
    kill_while_it_records,
    numbers,
    open_recorder,
    probe,
    segments,
    stream_info,
)
from support.requirements import run_on_a_disk
from support.set_clock import DAY_S, YEAR_S, SetClock
from support.waiting import wait_for

from edge_detect.core import NS_PER_S, SinkError, monotonic_ns
from edge_detect.sinks.access_units import access_unit
from edge_detect.sinks.encoder import Encoder, EncoderSettings
from edge_detect.sinks.recorder.ledger import LEDGER_NAME
from edge_detect.sinks.recorder.store import Keep, Store
from edge_detect.sinks.recorder.takes import ContinuousTake

SUPPORT = Path(__file__).parent.parent / "support"
FRAGMENT = 30


def ended(root) -> bool:
    """Whether the first recording is complete."""
    ledger = root / LEDGER_NAME
    return ledger.exists() and "\nend " in ledger.read_text()


def test_pieces_hold_every_picture_once_and_play_at_the_right_speed(tmp_path) -> None:
    encoded: list[int] = []
    camera = Camera()
    with open_recorder(f"mp4://{tmp_path}/new?segment=5s") as sink:
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
        clock = SetClock(unix_s=1_767_225_599.0, up_s=100.0)
        camera = Camera(start_ns=clock.monotonic_ns() - 90 * NS_PER_S)
        with open_recorder(f"mp4://{tmp_path}", clock=clock) as sink:
            sink.open(stream_info())
            camera.feed(sink, 5)
    finally:
        monkeypatch.undo()
        time.tzset()
    (path,) = segments(tmp_path)
    # 23:59:59 UTC, 5:45 h later, 90 s before.
    assert str(path.relative_to(tmp_path)) == "2026-01-01/05-43-29.mp4"


def test_whatever_the_clock_does_the_oldest_recordings_go_first(tmp_path) -> None:
    clock = SetClock()
    camera = Camera(160, 120, start_ns=clock.monotonic_ns())
    jumps_s = [YEAR_S, -2 * YEAR_S, 0, 3600, -3600, 0, YEAR_S, -YEAR_S, 30 * DAY_S, 0]
    with open_recorder(f"mp4://{tmp_path}?segment=1s&keep=60kB&reserve=0MB", clock=clock) as sink:
        for jump_s in jumps_s:
            sink.open(stream_info())
            camera.feed(sink, 35)
            clock.unix_s += jump_s
            clock.up_s += 2
            camera.feed(sink, 35)
            sink.close()
            if jump_s == YEAR_S:
                clock.reboot()
                camera.start_ns, camera.skip_ns = clock.monotonic_ns(), 0
    kept = sorted(number for path in segments(tmp_path) for number in numbers(path))
    assert kept == list(range(kept[0], 70 * len(jumps_s)))
    assert kept[0] > 0


def test_a_clock_that_is_set_right_makes_no_recording_old(tmp_path) -> None:
    clock = SetClock()
    camera = Camera(160, 120, start_ns=clock.monotonic_ns())
    with open_recorder(f"mp4://{tmp_path}?segment=1s&keep=7d&reserve=0MB", clock=clock) as sink:
        sink.open(stream_info())
        camera.feed(sink, 60)
        sink.close()
        clock.unix_s += YEAR_S
        clock.up_s += 60
        sink.open(stream_info())
        camera.feed(sink, 60)
        sink.close()
        early, late = segments(tmp_path)[:2], segments(tmp_path)[2:]
        assert [len(numbers(path)) for path in (*early, *late)] == [30] * 4
        clock.advance(7 * DAY_S - 30)
        sink.open(stream_info())
        assert segments(tmp_path) == late
        # It also looks while it records nothing.
        clock.advance(60)
        wait_for(lambda: segments(tmp_path) == [])


def test_recordings_of_others_are_left_alone_and_logged_once(tmp_path, caplog) -> None:
    other = tmp_path / "2020-01-01" / "10-00-00.mp4"
    other.parent.mkdir()
    other.write_bytes(b"\0" * 5000)
    with open_recorder(f"mp4://{tmp_path}?keep=1kB&reserve=0MB") as sink:
        for _ in range(2):
            sink.open(stream_info())
            Camera(160, 120).feed(sink, 5)
            sink.close()
    assert other.exists()
    (said,) = caplog.messages
    assert "not in the ledger of this recorder: 1. " in said
    with open_recorder(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
    assert len(caplog.messages) == 1


def test_pictures_that_were_left_out_leave_the_speed_right(tmp_path) -> None:
    camera = Camera()
    with open_recorder(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
        camera.feed(sink, 30)
        for _ in range(30):
            camera.picture()
        camera.feed(sink, 30)
    (path,) = segments(tmp_path)
    assert numbers(path) == [*range(30), *range(60, 90)]
    assert float(probe(path)["duration"]) == pytest.approx(3, abs=0.001)


def test_a_file_that_is_read_fast_is_recorded_at_its_own_speed(tmp_path) -> None:
    camera = Camera()
    with open_recorder(f"mp4://{tmp_path}") as sink:
        sink.open(stream_info())
        for _ in range(60):
            picture = camera.picture()
            object.__setattr__(picture.frame, "captured_ns", monotonic_ns())
            sink.write_picture(picture)
    (path,) = segments(tmp_path)
    assert float(probe(path)["duration"]) == pytest.approx(2, abs=0.001)


def test_a_recorder_and_another_sink_share_one_encode(tmp_path) -> None:
    stream, camera = stream_info(), Camera()
    first = open_recorder(f"mp4://{tmp_path}/a")
    second = open_recorder(f"mp4://{tmp_path}/b")
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
    store = Store(tmp_path, Keep(None, None, 0))
    store.open()
    take = ContinuousTake(store, 60 * NS_PER_S, None, lambda: None)
    # An encoder that failed is opened again, for the pictures as they are then.
    for camera in (Camera(320, 240), Camera(640, 360, number=20)):
        encoder = Encoder(EncoderSettings(), 30.0)
        encoder.subscribe(lambda encoded: take.take(access_unit(encoded)))
        for _ in range(20):
            encoder.write(camera.picture())
    take.close()
    store.close()
    first, second = segments(tmp_path)
    sizes = [(probe(path)["width"], probe(path)["height"]) for path in (first, second)]
    assert sizes == [(320, 240), (640, 360)]
    assert [numbers(first), numbers(second)] == [list(range(20)), list(range(20, 40))]


def test_a_second_recorder_in_the_same_directory_is_refused(tmp_path) -> None:
    with open_recorder(f"mp4://{tmp_path}") as first, open_recorder(f"mp4://{tmp_path}") as second:
        first.open(stream_info())
        with pytest.raises(SinkError, match="another recorder") as caught:
            second.open(stream_info())
        assert caught.value.transient
        first.close()
        second.open(stream_info())


def test_without_pictures_the_recording_is_finished_and_goes_on_in_a_new_one(tmp_path) -> None:
    clock = SetClock()
    camera = Camera(start_ns=clock.monotonic_ns())
    with open_recorder(f"mp4://{tmp_path}", clock=clock) as sink:
        sink.open(stream_info())
        camera.feed(sink, 40)
        # The clock goes on until the recorder, which may be behind, has seen no picture for long.
        wait_for(lambda: clock.advance(11) or ended(tmp_path))
        (path,) = segments(tmp_path)
        assert len(numbers(path)) == 40
        check_plays(path)
        camera.skip_ns += 3600 * NS_PER_S
        camera.feed(sink, 20)
    first, second = segments(tmp_path)
    assert numbers(first) == list(range(40))
    assert numbers(second) == list(range(40, 60))
    assert float(probe(second)["duration"]) == pytest.approx(20 / 30, abs=0.001)


def test_nothing_stays_behind_after_many_recordings(tmp_path) -> None:
    stream, camera = stream_info(), Camera(64, 48)
    before = None
    with open_recorder(f"mp4://{tmp_path}") as sink:
        for _ in range(20):
            sink.open(stream)
            camera.feed(sink, 2)
            sink.close()
            counts = (threading.active_count(), psutil.Process().num_fds())
            before = before or counts
        assert counts == before
    assert sum(len(numbers(path)) for path in segments(tmp_path)) == 40


@pytest.mark.parametrize("path", ["/proc/recordings", "{here}/file"])
def test_a_directory_that_cannot_be_made_is_an_error_with_a_hint(tmp_path, path) -> None:
    (tmp_path / "file").touch()
    sink = open_recorder(f"mp4://{path.format(here=tmp_path)}")
    with pytest.raises(SinkError, match="cannot write") as caught:
        sink.open(stream_info())
    assert not caught.value.transient
    sink.close()


def test_what_does_not_come_back_at_once_is_tried_again_if_it_worked_before(tmp_path) -> None:
    root, camera = tmp_path / "disk", Camera()
    with open_recorder(f"mp4://{root}") as sink:
        sink.open(stream_info())
        camera.feed(sink, 5)
        sink.close()
        root.rename(tmp_path / "away")
        root.touch()
        with pytest.raises(SinkError) as caught:
            sink.open(stream_info())
        assert caught.value.transient


def test_recordings_of_a_killed_process_play_up_to_their_last_second(tmp_path) -> None:
    kill_while_it_records(f"mp4://{tmp_path}?segment=5s", lambda: len(segments(tmp_path)) >= 3)
    *whole, last = segments(tmp_path)
    if not (found := numbers(last) if last.stat().st_size > 2000 else []):
        # It was killed in the first second of this one.
        last = whole.pop()
        found = numbers(last)
    check_plays(last)
    recorded = [number for path in whole for number in numbers(path)] + found
    assert recorded == list(range(len(recorded)))
    # What waited in the queue is missing, and the fragment that was not whole.
    assert len(recorded) >= 2 * 5 * FRAGMENT
    with open_recorder(f"mp4://{tmp_path}?keep=1kB&reserve=0MB") as sink:
        sink.open(stream_info())
        # But for one that was killed before its first second was over.
        assert sum(path.stat().st_size for path in segments(tmp_path)) <= 1000


def test_a_full_disk_pauses_or_makes_room_but_spoils_nothing(tmp_path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    mount = f"mount -t tmpfs -o size=4m tmpfs {disk}"
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
        assert kept == list(range(kept[0], 420))
        assert kept[0] > 0
    for path in [*out.rglob("*.mp4")]:
        check_plays(path)

    assert acts["crowded"] == {
        "message": f"recording to {disk}/crowded pauses: 0 MB are free on the disk, and 1 MB are "
        "to stay free",
        "transient": True,
        "kept": True,
    }


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
    assert acts["stuck"] == []

    (short,), (long,) = segments(out / "short"), segments(out / "long")
    check_plays(short)
    assert numbers(short) == list(range(acts["short"]["written"]))

    check_plays(long)
    recorded, act = numbers(long), acts["long"]
    assert recorded == sorted(set(recorded))
    lost = set(range(act["written"])) - set(recorded)
    assert len(lost) == act["dropped"] > 0
    assert min(lost) > act["frozen"]
    assert recorded[-1] >= act["thawed"]
    # What is left out ends where decoding can begin again.
    assert all(number % FRAGMENT == 0 for number in recorded if number - 1 in lost)

    assert "does not answer" in acts["close"]["message"]
