"""A camera on the network: serves the stamped pattern by RTSP with GStreamer.

    rtsp_server.py [--port N] [--codec h264|h265|mjpeg] [--size WxH] [--fps N] …

Prints the port as soon as it listens, and ends when its standard input is closed.
"""

import argparse
import os
import sys
import threading
import time
from typing import Any

import gi
import pattern

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

_X264 = "x264enc tune=zerolatency speed-preset=ultrafast threads=1 bitrate=2000"
_ENCODERS = {
    "h264": f"{_X264} key-int-max={{gop}} ! video/x-h264,profile={{profile}} "
    "! rtph264pay config-interval=-1 name=pay0 pt=96",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max={gop} "
    "! rtph265pay config-interval=-1 name=pay0 pt=96",
    "mjpeg": "jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26",
}


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--codec", choices=sorted(_ENCODERS), default="h264")
    parser.add_argument("--profile", default="constrained-baseline")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--gop", type=int, default=15)
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    if options.user or options.tls:
        server.set_auth(_authentication(options))
    server.get_mount_points().add_factory("/live", _factory(options))
    if not server.attach(None):
        sys.exit("cannot listen")
    sys.stdout.write(f"{server.get_bound_port()}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_input, daemon=True).start()
    GLib.MainLoop().run()


def _factory(options: argparse.Namespace) -> Any:
    width, height = (int(part) for part in options.size.split("x"))
    encoder = _ENCODERS[options.codec].format(gop=options.gop, profile=options.profile)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=pictures is-live=true do-timestamp=true format=time block=false "
        "max-buffers=2 leaky-type=downstream "
        f"caps=video/x-raw,format=BGR,width={width},height={height},framerate={options.fps}/1 "
        f"! queue ! videoconvert ! video/x-raw,format=I420 ! {encoder} )"
    )
    factory.set_shared(options.shared)
    factory.set_latency(0)
    if options.user or options.tls:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    factory.connect("media-configure", _feed, width, height, options.fps)
    return factory


def _feed(_factory: Any, media: Any, width: int, height: int, fps: int) -> None:
    """Push pictures into a medium until it is torn down."""
    pictures = media.get_element().get_by_name_recurse_up("pictures")
    ended = threading.Event()
    media.connect("unprepared", lambda _: ended.set())

    def push() -> None:
        start = time.monotonic()
        number = 0
        while not ended.wait(max(0.0, start + number / fps - time.monotonic())):
            image = pattern.draw(width, height, number, time.monotonic_ns())
            pictures.emit("push-buffer", Gst.Buffer.new_wrapped(image.tobytes()))
            number += 1

    feeder = threading.Thread(target=push, daemon=True)

    def begin(*_: object) -> None:
        if feeder.ident is None:
            feeder.start()

    # Not before they are asked for: pictures pushed into a pipeline that is being set up block
    # it for good, once in thirty times or so.
    pictures.connect("need-data", begin)


def _authentication(options: argparse.Namespace) -> Any:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if options.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*options.tls))
    if not options.user:
        auth.set_default_token(token)
    elif options.digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    return auth


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
