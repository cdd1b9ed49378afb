"""USB cameras keep the promises of a live source, with a made-up driver in the kernel's place."""

from fakes.v4l2_device.fake_camera import FakeCamera
from fakes.v4l2_device.in_front import in_front_of
from support.source_contract import CHECKS, Case

YUYV = "mode YUYV 320 240 640 153600 30 15"


@in_front_of(YUYV)
def test_a_usb_camera_keeps_the_promises_of_a_live_source(camera) -> None:
    silent = FakeCamera(camera.folder, number=1)
    silent.plug(YUYV)
    silent.go_wrong("stall")
    case = Case(
        camera.url(), silent.url(), lose=camera.unplug, restore=lambda: camera.plug(YUYV), cycles=15
    )
    for check in CHECKS:
        check(case)
