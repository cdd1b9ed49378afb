"""The camera."""

import atexit
import logging
import os
import threading
import time
from collections import deque
from functools import partial
from types import SimpleNamespace

import csi_hardware
import libcamera

from .job import Job
from .request import CompletedRequest

_log = logging.getLogger(__name__)


class _Descriptor:
    """An open file that is closed when nobody refers to it any more."""

    def __init__(self):
        self._number = os.open(os.devnull, os.O_RDONLY)

    def __del__(self):
        os.close(self._number)


class Picamera2:
    """One camera, opened by the constructor."""

    @staticmethod
    def global_camera_info():
        """All cameras; those on USB last."""
        cameras = [
            {"Model": sensor.model, "Location": 2, "Rotation": 180, "Id": sensor.place, "Num": num}
            for num, sensor in enumerate(csi_hardware.board.sensors)
        ]
        return sorted(
            cameras, key=lambda camera: ("/usb" not in camera["Id"], camera["Id"]), reverse=True
        )

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        self._preview = None
        self.is_open = False
        cameras = self.global_camera_info()
        if camera_num >= len(cameras):
            raise RuntimeError(
                f'No camera number {camera_num} found - use "rpicam-hello --list-cameras"'
                " to check connected cameras"
            )
        self._sensor = csi_hardware.board.sensors[cameras[camera_num]["Num"]]
        self.request_lock = threading.Lock()
        self.lock = threading.Lock()
        self.camera_config = {}
        self.started = False
        self.stop_count = 0
        self.completed_requests = []
        self._arrived = []
        self._job_list = []
        self._queued = deque()
        self._buffers = []
        self._controls = {}
        self._max_queue_len = 1
        # The original refers to itself through its helpers, and keeps descriptors after `close`.
        self._helpers = [self, _Descriptor()]
        self._notified = threading.Event()
        self._abort = threading.Event()
        self._halt = threading.Event()
        try:
            self._sensor.acquire()
        except Exception as error:
            _log.error("Camera __init__ sequence did not complete.")
            raise RuntimeError("Camera __init__ sequence did not complete.") from error
        self.is_open = True
        _log.info("Camera now open.")
        atexit.register(self.close)
        if csi_hardware.board.heap_error is not None:
            raise csi_hardware.board.heap_error

    @property
    def camera_controls(self):
        """Least, greatest and default value by control."""
        return dict(self._sensor.controls) if self.is_open else {}

    def create_video_configuration(
        self,
        main={},  # noqa: B006
        lores=None,
        raw={},  # noqa: B006
        transform=libcamera.Transform(),  # noqa: B008
        colour_space=None,
        buffer_count=6,
        controls={},  # noqa: B006
        display="main",
        encode="main",
        queue=True,  # noqa: FBT002
        sensor={},  # noqa: B006
        use_case="video",
    ):
        """A configuration for video."""
        if not self.is_open:
            raise RuntimeError("Camera not opened")
        main = _stream({"format": "XBGR8888", "size": (1280, 720), "preserve_ar": True}, main)
        small = {"format": "YUV420", "size": main["size"], "preserve_ar": False}
        lores = None if lores is None else _stream(small, lores)
        if colour_space is None:
            width, height = main["size"]
            small = width < 1280 or height < 720
            colour_space = (
                libcamera.ColorSpace.Smpte170m() if small else libcamera.ColorSpace.Rec709()
            )
        return {
            "use_case": use_case,
            "transform": transform,
            "colour_space": colour_space,
            "buffer_count": buffer_count,
            "queue": queue,
            "main": main,
            "lores": lores,
            "raw": None if raw is None else _stream({"format": "SBGGR10", "size": None}, raw),
            "controls": controls,
            "sensor": sensor,
            "display": display,
            "encode": encode,
        }

    def configure(self, camera_config=None):
        """Give the streams their buffers."""
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        config = camera_config.copy()
        self._check(config)
        self._free()
        for name in ("main", "lores"):
            if config[name] is not None:
                stream = config[name]
                if name == "main" and stream["format"] not in self._sensor.formats:
                    stream["format"] = self._sensor.formats[0]
                width, height = stream["size"]
                stream["stride"], stream["framesize"] = csi_hardware.layout(
                    stream["format"], width, height
                )
        if not self._sensor.flips:
            config["transform"] = libcamera.Transform()
        self._max_queue_len = 1 if config["queue"] and config["buffer_count"] > 1 else 0
        for _ in range(config["buffer_count"]):
            self._buffers.append({})
            for name in ("main", "lores"):
                if config[name] is not None:
                    memory = csi_hardware.board.allocate(config[name]["framesize"])
                    self._buffers[-1][name] = memory
        self.camera_config = config
        self._controls = {}
        self.set_controls(config["controls"])

    def camera_configuration(self):
        """What was configured."""
        return self.camera_config

    def set_controls(self, controls):
        """Have controls sent with the next request, or at the start."""
        for name in controls:
            if name not in self._sensor.controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self._controls |= controls

    def start(self, config=None, show_preview=False):  # noqa: FBT002
        """Start the camera, and the event loop."""
        if config is not None:
            self.configure(config)
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        if self._preview is None:
            self._preview = threading.Thread(target=self._event_loop, daemon=True)
            self._preview.start()
        if not self._sensor.plugged:
            raise RuntimeError("Failed to start camera: Remote I/O error")
        if self.started:
            return
        self._sensor.applied = dict(self._controls)
        for buffers in self._buffers:
            self._queue_request(SimpleNamespace(buffers=buffers, metadata={}))
        self.started = True
        self._halt.clear()
        self._pipeline = threading.Thread(target=self._expose, daemon=True)
        self._pipeline.start()

    def stop_(self, request=None):
        """Stop the camera; for the event loop only."""
        while self._sensor.driver_hangs.is_set():
            time.sleep(0.01)
        if self.started:
            self.stop_count += 1
            self._halt.set()
            self._pipeline.join()
            self.started = False
            arrived, self._arrived = self._arrived, []
            for unseen in arrived + self.completed_requests:
                unseen.release()
            self.completed_requests = []
            self._queued.clear()
        return (True, None)

    def stop(self):
        """Stop the camera, in turn with the jobs that wait."""
        if not self.started:
            return
        if self._preview is not None:
            self.dispatch_functions([self.stop_], wait=True, immediate=True)
        else:
            self.stop_()

    def close(self):
        """Stop and give the camera back."""
        atexit.unregister(self.close)
        if self._preview is not None:
            self._abort.set()
            self._preview.join()
            self._preview = None
        if not self.is_open:
            return
        self.stop()
        self._sensor.release()
        self.is_open = False
        self.camera_config = {}
        self._free()
        _log.info("Camera closed successfully.")

    def cancel_all_and_flush(self):
        """Cancel the jobs that wait."""
        with self.lock:
            for job in self._job_list:
                job.cancel()
            self._job_list = []

    def wait(self, job, timeout=None):
        """Wait for a job."""
        return job.get_result(timeout=timeout)

    def dispatch_functions(self, functions, wait, signal_function=None, immediate=False):  # noqa: FBT002
        """Have the event loop do something."""
        if wait is None:
            wait = signal_function is None
        timeout = None if wait is True else wait
        with self.lock:
            only_job = not self._job_list
            job = Job(functions, signal_function)
            self._job_list.append(job)
            if only_job and (self.completed_requests or immediate):
                self._notified.set()
        return job.get_result(timeout=timeout) if wait else job

    def capture_request_(self):
        """Hand over the oldest completed request, for the event loop only."""
        if not self.completed_requests:
            return (False, None)
        request = self.completed_requests.pop(0)
        csi_hardware.board.lent.append(request)
        return (True, request)

    def capture_request(self, wait=None, signal_function=None, flush=None):
        """Take the next completed request, which must be released."""
        assert flush is None
        return self.dispatch_functions([partial(self.capture_request_)], wait, signal_function)

    def _queue_request(self, request):
        """Give the camera buffers to fill."""
        self._queued.append(request)

    def _process_requests(self):
        """One turn of the event loop."""
        with self.lock:
            requests, self._arrived = self._arrived, []
            self.completed_requests += requests
            finished = []
            while self._job_list and self._job_list[0].execute():
                finished.append(self._job_list.pop(0))
            while len(self.completed_requests) > self._max_queue_len:
                self.completed_requests.pop(0).release()
        for job in finished:
            job.signal()

    def _event_loop(self):
        while not self._abort.is_set():
            if self._notified.wait(csi_hardware.board.turn_s):
                self._notified.clear()
                self._process_requests()

    def _expose(self):
        """The sensor and the image processor: an exposure without a free buffer is lost."""
        duration_us = self._controls.get("FrameDurationLimits", (33333, 33333))[1]
        due_ns = csi_hardware.now_ns()
        while True:
            due_ns += duration_us * 1000
            if self._halt.wait(max(0, due_ns - csi_hardware.now_ns()) / 1e9):
                return
            self._sensor.exposures += 1
            if self._sensor.plugged and self._queued:
                self._complete(self._queued.popleft(), due_ns, duration_us)

    def _complete(self, request, due_ns, duration_us):
        transform = self.camera_config["transform"]
        for name, memory in request.buffers.items():
            csi_hardware.draw(
                memory,
                self.camera_config[name],
                self._sensor.exposures,
                self.camera_config["colour_space"].ycbcrEncoding.name,
                (transform.hflip, transform.vflip),
            )
        request.metadata = {"FrameDuration": duration_us, "ExposureTime": 10000}
        stamp_ns = self._sensor.stamp(due_ns)
        if stamp_ns is not None:
            request.metadata["SensorTimestamp"] = stamp_ns
        with self.lock:
            self._arrived.append(CompletedRequest(request, self))
        self._notified.set()

    def _check(self, config):
        main, lores = config["main"], config["lores"]
        for name, stream in (("main", main), ("lores", lores)):
            if stream is not None:
                if type(stream["size"]) is not tuple or len(stream["size"]) != 2:
                    raise RuntimeError("size in " + name + " stream should be (width, height)")
                if stream["size"][0] % 2 or stream["size"][1] % 2:
                    raise RuntimeError("width and height should be even")
        if lores is not None and any(
            small > large for small, large in zip(lores["size"], main["size"], strict=True)
        ):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        if not isinstance(config["transform"], libcamera.Transform):
            raise RuntimeError("Transform has incorrect type")  # noqa: TRY004

    def _free(self):
        for buffers in self._buffers:
            for memory in buffers.values():
                csi_hardware.board.free(memory)
        self._buffers = []


def _stream(config, updates):
    valid = ("format", "size", "stride", "preserve_ar")
    for key, value in updates.items():
        if key not in valid:
            raise ValueError(f"Bad key {key!r}: valid stream configuration keys are {valid}")
        config[key] = value
    return config
