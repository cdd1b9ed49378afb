"""A server that streams are pushed to: takes RECORD by RTSP with GStreamer, and looks at it.

    record_server.py [--port N] [--user U --password P [--digest]]

Prints the port as soon as it listens, then a line of JSON for each picture that it decoded:
the number and the age that are drawn into it. Ends when its standard input is closed.
"""

import argparse
import json
import os
import queue
import sys
import threading
import time
from typing import Any

import av
import gi
import pattern

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="0")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--digest", action="store_true")
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    if options.user:
        server.set_auth(_authentication(options.user, options.password, digest=options.digest))
    server.get_mount_points().add_factory("/live", _factory(with_user=bool(options.user)))
    if not server.attach(None):
        sys.exit("cannot listen")
    _tell(server.get_bound_port())
    threading.Thread(target=_end_with_input, daemon=True).start()
    GLib.MainLoop().run()


def _factory(*, with_user: bool) -> Any:
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream,"
        "alignment=au ! appsink name=units emit-signals=true sync=false max-buffers=200 )"
    )
    factory.set_latency(0)
    if with_user:
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("publisher", "media.factory.access", True)
        permissions.add_permission_for_role("publisher", "media.factory.construct", True)
        factory.set_permissions(permissions)
    factory.connect("media-configure", _look)
    return factory


def _look(_factory: Any, media: Any) -> None:
    """Decode what comes, in a thread per stream."""
    units: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def take(sink: Any) -> Any:
        buffer = sink.emit("pull-sample").get_buffer()
        units.put(buffer.extract_dup(0, buffer.get_size()))
        return Gst.FlowReturn.OK

    media.get_element().get_by_name_recurse_up("units").connect("new-sample", take)
    media.connect("unprepared", lambda _: units.put(None))
    threading.Thread(target=_decode, args=(units,), daemon=True).start()


def _decode(units: "queue.SimpleQueue[bytes | None]") -> None:
    codec = av.CodecContext.create("h264", "r")
    while (unit := units.get()) is not None:
        for frame in codec.decode(av.Packet(unit)):
            stamp = pattern.read(frame.to_ndarray(format="bgr24"))
            age_ms = None if stamp is None else stamp.age_ms(time.monotonic_ns())
            told = {
                "number": None if stamp is None else stamp.number,
                "age_ms": age_ms,
                "size": [frame.width, frame.height],
            }
            _tell(json.dumps(told))


def _authentication(user: str, password: str, *, digest: bool) -> Any:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "publisher")
    if digest:
        auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def _tell(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
