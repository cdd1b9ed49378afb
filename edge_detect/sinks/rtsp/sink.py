"""The annotated picture as an RTSP stream that this program serves itself."""

import logging
import re

from edge_detect.core import ConfigError, Picture
from edge_detect.core.url import Url
from edge_detect.sinks.encoder import ENCODER_OPTIONS, Encoder, EncoderSettings, encoder_settings
from edge_detect.sinks.rtsp.clients import Limits
from edge_detect.sinks.rtsp.mount import Address, Mount
from edge_detect.sinks.rtsp.registry import join, leave
from edge_detect.sinks.rtsp.server import RtspServer
from edge_detect.sinks.sink import Sink, StreamInfo

__all__ = ["RtspSink", "open_rtsp_sink"]

_log = logging.getLogger(__name__)
_DEFAULT_PORT = 8554
_LOOPBACK = "127.0.0.1"
_THIS_COMPUTER = re.compile(r"localhost|127\.[0-9.]+|::1")
# Letters, digits and what needs no escaping, so that users can type it into any player.
_PATH = re.compile(r"(/[\w.~-]+)+", re.ASCII)


class RtspSink(Sink):
    """Serves pictures as H.264 over RTSP, to many viewers at once.

    Sinks at the same address and port share a server: each has a path of its own, with its
    own viewers, password and `clients`; other limits are those of the first to open.

    Nothing is encoded while nobody looks. A viewer that comes while the source gives no
    pictures is answered with 503 (service unavailable) and may try again; one that is there
    when the source is lost stays connected.

    Args:
        address: Where to listen, and who may look.
        settings: Of the encoder.
        limits: On clients.
    """

    takes_pictures = True

    def __init__(
        self, address: Address, settings: EncoderSettings, limits: Limits | None = None
    ) -> None:
        self.name = address.name
        self._address = address
        self._settings = settings
        self._limits = limits or Limits()
        self._served: tuple[RtspServer, Mount] | None = None
        self._encoder: Encoder | None = None

    @property
    def wants_picture(self) -> bool:
        """Whether anybody looks, or is about to; also after a failure, to have it told."""
        served = self._served
        return served is not None and (served[1].streaming or served[0].failed)

    @property
    def viewers(self) -> int:
        """How many clients play the stream."""
        served = self._served
        return 0 if served is None else served[0].viewers(served[1])

    @property
    def dropped(self) -> int:
        """Encoded pictures that GStreamer's pipeline was too slow for, since `open`."""
        served = self._served
        return 0 if served is None else served[1].dropped

    def open(self, stream: StreamInfo) -> None:
        """Listen for viewers, or have the server that does know one more path.

        Raises:
            SinkError: The port is taken, another sink has the path, or the address is not one
                of this computer.
            DependencyError: GStreamer is not there.
        """
        self._encoder = stream.encoders.get(self._settings)
        mount = Mount(
            self._address,
            self._encoder,
            lambda: stream.report().source.state == "live",
            stream.encoded,
            self._limits.clients,
            self._limits.first_picture_s,
        )
        self._served = (join(mount, self._limits), mount)
        self._tell_who_can_see()

    def write_picture(self, picture: Picture) -> None:
        """Encode a picture for the viewers.

        Raises:
            SinkError: The encoder failed, or the server did.
        """
        served = self._served
        if served is None or self._encoder is None:
            raise ValueError("write_picture needs open before it")
        server, mount = served
        server.check(mount)
        self._encoder.write(picture)

    def close(self) -> None:
        """Send all viewers away, and stop listening if no other path is served.

        Raises:
            SinkError: The server does not come to an end.
        """
        served, self._served = self._served, None
        if served is not None:
            leave(*served)

    def _tell_who_can_see(self) -> None:
        address = self._address
        if _THIS_COMPUTER.fullmatch(address.host):
            _log.info(
                "%s serves this computer only; use rtsp://0.0.0.0:%d%s for the network",
                self.name,
                address.port,
                address.path,
            )
        elif address.user:
            _log.info("%s serves the network, with a password", self.name)
        else:
            _log.info(
                "%s serves everybody on the network; put user:password@ before the address"
                " to ask for a password",
                self.name,
            )


def open_rtsp_sink(url: Url) -> RtspSink:
    """Open `rtsp://[user:password@][address]:8554/live?fps=15&size=1280x720&clients=16`.

    Raises:
        ConfigError: The path cannot be served, a password is missing, or an option is wrong.
    """
    url.check_options(*ENCODER_OPTIONS, "clients")
    user, password, host, port, path = url.authority(_DEFAULT_PORT)
    if not _PATH.fullmatch(path or "/live"):
        raise ConfigError(
            f"{url.name!r} has a path that cannot be served",
            "use letters, digits, '-', '_' and '.', e.g. rtsp://127.0.0.1:8554/live",
        )
    if bool(user) != bool(password) or not (user + password).isprintable() or '"' in user:
        raise ConfigError(
            f"{url.name!r} has a user or password that players cannot send",
            "give both, e.g. rtsp://user:password@0.0.0.0:8554/live, and no quotes in the user",
        )
    limits = Limits(clients=url.integer("clients", Limits().clients, minimum=1))
    address = Address(host or _LOOPBACK, port, path or "/live", user, password)
    return RtspSink(address, encoder_settings(url), limits)
