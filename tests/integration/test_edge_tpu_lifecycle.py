"""Detectors on Edge TPUs, and their processes, come to an end whatever the device is doing."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.failing_devices import (
    CAMERA,
    HASTY_S,
    PICTURE,
    QUICK,
    buffer_of,
    helper_of,
    load,
    on_tpu,
    same,
)
from support.stand_in import write_twins
from support.waiting import HANG_S, promptly, wait_for

import edge_detect as ed
from edge_detect.core import AcceleratorError, ModelError
from edge_detect.models import load_model


@pytest.fixture
def twins(tmp_path):
    return write_twins(tmp_path)


@pytest.fixture
def detector(twins, stand_in):
    with load(twins, stand_in) as loaded:
        yield loaded


def children() -> set[str]:
    """Processes that any thread of this one has started."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found.update((task / "children").read_text().split())
    return found


def test_an_interrupted_wait_leaves_no_answer_for_the_next_picture(detector, stand_in):
    pictures = [np.full((8, 8, 3), value, np.uint8) for value in (40, 200)]
    wanted = [detector(picture) for picture in pictures]
    stand_in.tell("invoke_ms 200")

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                detector(pictures[0])
    finally:
        signal.signal(signal.SIGALRM, before)
    stand_in.tell()
    for picture, each in zip(pictures * 4, wanted * 4, strict=True):
        assert same(detector(picture), each)


def test_the_bare_model_can_be_run_beside_a_frame_that_is_under_way(detector, stand_in, tmp_path):
    answer = tmp_path / "answer"
    answer.write_bytes(bytes([7]) * 192)
    stand_in.tell(f"answer {answer}")
    # With either slot for the frame, and the other one for the bare model.
    for _ in range(2):
        ticket = detector.submit(buffer_of(detector))
        detector.invoke()
        assert np.all(detector.outputs()["head"] == 7)
        found, _ = detector.collect(ticket)
        assert on_tpu(detector)
    assert same(found, detector(PICTURE))


def test_a_device_is_tried_again_although_no_process_could_be_started(
    detector, stand_in, monkeypatch
):
    wanted = detector(PICTURE)
    started = subprocess.Popen
    refused = []

    def refuse(*arguments, **options):
        refused.append(arguments)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    os.kill(helper_of(detector), signal.SIGKILL)
    assert same(detector(PICTURE), wanted)
    wait_for(lambda: len(refused) > 1)
    monkeypatch.setattr(subprocess, "Popen", started)
    wait_for(lambda: on_tpu(detector))


def test_a_device_that_does_not_load_takes_no_other_one_with_it(twins, stand_in):
    before = children()
    stand_in.tell("devices 2", "create refuse 0", "create refuse 1")
    with pytest.raises(AcceleratorError):
        load_model(twins, accelerator="edgetpu", library=str(stand_in.library))
    twins.with_name("echo_edgetpu.tflite").write_bytes(b"")
    with pytest.raises(ModelError):
        load_model(twins, accelerator="edgetpu", library=str(stand_in.library))
    wait_for(lambda: children() <= before)


def test_a_detector_that_is_closed_while_its_device_hangs_leaves_the_device_free(twins, stand_in):
    before = children()
    detector = load(twins, stand_in, HASTY_S)
    stand_in.tell("invoke hang")
    working = threading.Thread(
        target=detector.abandon, args=(detector.submit(buffer_of(detector)),)
    )
    working.start()
    detector.close()
    working.join()
    stand_in.tell()
    wait_for(lambda: children() <= before)
    with load(twins, stand_in, accelerator="edgetpu") as again:
        assert on_tpu(again)


def test_a_pipeline_stops_although_the_device_hangs(twins, stand_in):
    with (
        load(twins, stand_in, HASTY_S, limits=replace(QUICK, open_s=HANG_S)) as detector,
        ed.Pipeline(CAMERA, model=detector, sinks=["null://"]) as pipeline,
    ):
        pipeline.start()
        wait_for(lambda: pipeline.statistics.rates["detected"].count > 5)
        stand_in.tell("invoke hang", "create hang")
        with promptly():
            pipeline.stop()


def test_a_detector_closes_although_its_device_never_opens_again(twins, stand_in):
    before = children()
    detector = load(twins, stand_in, HASTY_S, limits=replace(QUICK, open_s=HANG_S))
    stand_in.tell("invoke hang", "create hang")
    detector(PICTURE)
    with promptly():
        detector.close()
        wait_for(lambda: "edge-accelerator" not in {each.name for each in threading.enumerate()})
    assert children() <= before


def test_failures_leave_no_descriptor_process_or_thread(detector, stand_in):
    def resources():
        return (
            len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            len(children()),
            threading.active_count(),
        )

    def fail_once():
        os.kill(helper_of(detector), signal.SIGKILL)
        detector(PICTURE)
        wait_for(lambda: on_tpu(detector))
        detector(PICTURE)

    fail_once()
    before = resources()
    for _ in range(4):
        fail_once()
    # Fewer may be left than in a moment in which something was just coming to its end.
    wait_for(lambda: all(now <= then for now, then in zip(resources(), before, strict=True)))


PROGRAM = """
import logging, sys
from threading import Event
from edge_detect.models.helper.session import open_in_helper
from edge_detect.models.helper.wire import Order
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
order = Order(sys.argv[1], "edgetpu:usb:0", library=sys.argv[2], options={"device": "usb:0"})
session = open_in_helper(order, deadline_s=90, give_up=Event())
print("helper", session.pid, flush=True)
sys.stdin.readline()
session.invoke()
"""


@pytest.mark.parametrize("doing", ["waiting", "hanging"])
def test_a_helper_ends_with_the_program_however_that_ends(twins, stand_in, doing):
    compiled = twins.with_name("echo_edgetpu.tflite")
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(compiled), str(stand_in.library)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        told = (line.split() for line in program.stdout)
        helper = next(words[1] for words in told if words[0] == "helper")
        if doing == "hanging":
            stand_in.tell("chatter about to hang", "invoke hang")
            program.stdin.write("\n")
            program.stdin.flush()
            assert any("about to hang" in line for line in program.stdout)
    finally:
        program.kill()
        program.communicate()
    wait_for(lambda: not Path(f"/proc/{helper}").exists())
