"""A camera, and a bad one, on the web: serves the stamped pattern by HTTP in several forms.

    http_server.py [--port N] [--tls CERTIFICATE KEY]

    /mjpeg?fps=30&size=320x240&style=S   multipart JPEG; styles: see _PARTS
    /mjpeg?zoom=1                        every other five pictures are twice as wide
    /live.ts?fps=30&size=320x240         endless MPEG-TS with H.264; fps=0: as fast as it goes
    /clip.mp4 /clip.ts                   one second at 25 fps
    /cut.mp4                             three seconds that break off after one
    /private/mjpeg                       the same for user "admin", password "p@ss:w/rd %?#"
    /local?path=P                        a redirect to a file of the client
    /forbidden /missing /loop /silent /garbage /html /empty

Prints the port as soon as it listens, and ends when its standard input is closed.
"""

import argparse
import base64
import functools
import os
import random
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import av
import av.error
import cv2
import pattern

LOGIN = base64.b64encode(b"admin:p@ss:w/rd %?#").decode()
# Cameras differ in how they write a multipart stream: content type, and the head of each part.
_PARTS = {
    "plain": ("boundary=frame", "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {n}"),
    "quoted": ('boundary="frame"', "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {n}"),
    "dashes": ("boundary=--frame", "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {n}"),
    "bare": ("boundary=frame", "--frame\r\nContent-Type: image/jpeg"),
    "lower": (
        "boundary=frame",
        "--frame\r\ncontent-type: image/jpeg\r\ncontent-length: {n}\r\nx: y",
    ),
}


class Handler(BaseHTTPRequestHandler):
    """Answers one client."""

    routes: ClassVar[dict[str, str]] = {
        "/mjpeg": "mjpeg",
        "/private/mjpeg": "private",
        "/live.ts": "transport_stream",
        "/clip.mp4": "clip",
        "/clip.ts": "clip",
        "/cut.mp4": "clip",
        "/forbidden": "forbidden",
        "/loop": "loop",
        "/local": "local",
        "/silent": "silent",
        "/garbage": "garbage",
        "/html": "html",
        "/empty": "empty",
    }

    def do_GET(self) -> None:
        """Find the route."""
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.query = query
        self.fps = float(query.get("fps", "30"))
        width, height = query.get("size", "320x240").split("x")
        self.width, self.height = int(width), int(height)
        self.style = query.get("style", "plain")
        route = self.routes.get(parts.path)
        if route is None:
            self.send_error(404)
            return
        try:
            getattr(self, route)()
        except (OSError, av.error.FFmpegError):
            # The client is gone.
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Be quiet."""

    def start(self, content_type: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Connection", "close")
        self.end_headers()

    def mjpeg(self) -> None:
        boundary, head = _PARTS[self.style]
        self.start(f"multipart/x-mixed-replace; {boundary}")
        for number in self.beats():
            width = self.width * (2 if self.query.get("zoom") and number % 10 >= 5 else 1)
            image = pattern.draw(width, self.height, number, time.monotonic_ns())
            data = cv2.imencode(".jpg", image)[1].tobytes()
            self.wfile.write(head.format(n=len(data)).encode() + b"\r\n\r\n" + data + b"\r\n")

    def private(self) -> None:
        if self.headers.get("Authorization") == f"Basic {LOGIN}":
            self.mjpeg()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def transport_stream(self) -> None:
        self.start("video/mp2t")
        rate = self.fps or 30
        with av.open(self.wfile, "w", format="mpegts", options={"flush_packets": "1"}) as output:
            write_pattern(output, self.width, self.height, rate, self.beats())

    def clip(self) -> None:
        path = self.path.partition("?")[0]
        cut = path == "/cut.mp4"
        data = make_clip("mpegts" if path == "/clip.ts" else "mp4", 3 if cut else 1)
        begin = 0
        if wanted := self.headers.get("Range"):
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        end = len(data) // 3 if cut else len(data)
        self.wfile.write(data[begin:end])
        self.close_connection = True

    def forbidden(self) -> None:
        self.send_error(403)

    def loop(self) -> None:
        self.redirect("/loop")

    def local(self) -> None:
        self.redirect(f"file://{self.query['path']}")

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def silent(self) -> None:
        time.sleep(3600)

    def garbage(self) -> None:
        self.start("video/mp2t")
        noise = random.Random(1)
        for _ in self.beats():
            self.wfile.write(noise.randbytes(2000))

    def html(self) -> None:
        self.start("text/html")
        self.wfile.write(b"<!doctype html><p>Not a camera.</p>" * 100)

    def empty(self) -> None:
        self.start("video/mp2t")

    def beats(self) -> Iterator[int]:
        """Numbers at the rate asked for, for ever."""
        start, number = time.monotonic(), 0
        while True:
            yield number
            number += 1
            if self.fps:
                time.sleep(max(0.0, start + number / self.fps - time.monotonic()))


def write_pattern(
    output: av.container.OutputContainer,
    width: int,
    height: int,
    fps: float,
    numbers: Iterator[int],
) -> None:
    """Encode pictures as long as there are numbers."""
    options = {"preset": "ultrafast", "tune": "zerolatency", "threads": "1", "g": "15"}
    stream = output.add_stream("libx264", rate=Fraction(fps).limit_denominator(), options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.codec_context.time_base = Fraction(1, 90_000)
    for number in numbers:
        image = pattern.draw(width, height, number, time.monotonic_ns())
        picture = av.VideoFrame.from_ndarray(image, format="bgr24")
        picture.pts, picture.time_base = round(number * 90_000 / fps), Fraction(1, 90_000)
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))


@functools.cache
def make_clip(container: str, seconds: int) -> bytes:
    """A recording at 25 fps."""
    options = {"movflags": "faststart"} if container == "mp4" else {}
    # A real file: an MP4 whose head comes first is written twice.
    with tempfile.NamedTemporaryFile() as file:
        with av.open(file.name, "w", format=container, options=options) as output:
            write_pattern(output, 320, 240, 25, iter(range(25 * seconds)))
        return Path(file.name).read_bytes()


class Server(ThreadingHTTPServer):
    """Ends with the process, whoever is still connected."""

    daemon_threads = True


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2)
    options = parser.parse_args()
    server = Server(("127.0.0.1", options.port), Handler)
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
