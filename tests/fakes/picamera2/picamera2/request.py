"""What the camera completed, and the way into its buffers."""

import time

import csi_hardware
import numpy as np


class CompletedRequest:
    """The buffers of one exposure, counted by those who use them."""

    def __init__(self, request, picam2):
        self.request = request
        self.ref_count = 1
        self.lock = picam2.request_lock
        self.picam2 = picam2
        self.stop_count = picam2.stop_count
        self.config = picam2.camera_config.copy()

    def acquire(self):
        """Use it too."""
        with self.lock:
            if self.ref_count == 0:
                raise RuntimeError("CompletedRequest: acquiring lock with ref_count 0")
            self.ref_count += 1

    def release(self):
        """Stop using it; the last one gives the buffers back to the camera."""
        with self.lock:
            self.ref_count -= 1
            if self.ref_count < 0:
                raise RuntimeError("CompletedRequest: lock now has negative ref_count")
            if self.ref_count == 0:
                for buffer in self.request.buffers.values():
                    if not buffer.closed:
                        csi_hardware.spoil(buffer)
                if self.stop_count == self.picam2.stop_count and self.picam2.started:
                    self.picam2._queue_request(self.request)
                self.request = None
                self.config = {}
                if self in csi_hardware.board.lent:
                    csi_hardware.board.lent.remove(self)

    def get_metadata(self):
        """What the sensor and the image processor tell about the exposure."""
        assert self.request is not None
        return dict(self.request.metadata)

    def make_array(self, name):
        """A copy of the pixels."""
        if name not in self.config:
            raise RuntimeError(f"Stream {name!r} is not defined")
        with MappedArray(self, name) as mapped:
            return np.copy(mapped.array)


class MappedArray:
    """The pixels as they lie in the buffer, valid inside the `with` only."""

    def __init__(self, request, stream, reshape=True, write=True):  # noqa: FBT002
        self.__buffer = request.request.buffers[stream]
        self.__config = request.config[stream]
        self.__reshape = reshape
        self.__array = None

    def __enter__(self):
        array = np.frombuffer(self.__buffer, np.uint8)
        self.__array = _shape(array, self.__config) if self.__reshape else array
        csi_hardware.board.mapped += 1
        time.sleep(csi_hardware.board.mapping_s)
        return self

    def __exit__(self, exc_type, exc_value, exc_traceback):
        csi_hardware.board.mapped -= 1
        del self.__array

    @property
    def array(self):
        """(height, width, channels) uint8, or the planes of YUV one below the other."""
        return self.__array


def _shape(array, config):
    width, height = config["size"]
    pixel_format, stride = config["format"], config["stride"]
    if pixel_format in ("BGR888", "RGB888"):
        return array.reshape(height, stride)[:, : width * 3].reshape(height, width, 3)
    if pixel_format in ("XBGR8888", "XRGB8888"):
        return array.reshape(height, stride)[:, : width * 4].reshape(height, width, 4)
    if pixel_format == "YUV420":
        return array.reshape(height * 3 // 2, stride)
    if pixel_format == "NV12":
        return array.reshape(height * 3 // 2, stride)[:, :width]
    if pixel_format == "YUYV":
        return array.reshape(height, stride // 2, 2)
    raise RuntimeError("Format " + pixel_format + " not supported")
