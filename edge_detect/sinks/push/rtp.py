"""Access units as RTP packets, and their description."""

import base64
import secrets
from fractions import Fraction

import av
import av.container
import av.logging

from edge_detect.core import NS_PER_S
from edge_detect.sinks.access_units import AccessUnit, add_video_stream
from edge_detect.sinks.yuv import TICKS_PER_S

__all__ = ["Packetizer", "describe", "is_rtcp"]

_PAYLOAD_TYPE = 96
# Fits into an Ethernet frame with the headers of IPv6 and a tunnel.
_PACKET_BYTES = 1400


class Packetizer:
    """Cuts access units into RTP packets, with sender reports among them (RFC 6184, 3550).

    FFmpeg does the work, but not the sending: its RTSP client knows no timeouts when it
    publishes, and holds the interpreter's lock while it waits for the server.

    Args:
        first: The first unit, a key frame.
    """

    def __init__(self, first: AccessUnit) -> None:
        self._packets = _Packets()
        self._first_ns = first.captured_ns
        av.logging.set_level(av.logging.PANIC)
        self._container = av.open(
            self._packets,
            "w",
            format="rtp",
            container_options={"payload_type": str(_PAYLOAD_TYPE)},
            buffer_size=_PACKET_BYTES,
        )
        self._stream = add_video_stream(self._container, first)
        self._stream.time_base = Fraction(1, TICKS_PER_S)
        self._last_ticks = -1

    def cut(self, unit: AccessUnit) -> list[bytes]:
        """The packets of the next unit, at most 1400 bytes each."""
        ticks = (unit.captured_ns - self._first_ns) * TICKS_PER_S // NS_PER_S
        self._last_ticks = max(ticks, self._last_ticks + 1)
        packet = av.Packet(unit.data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, TICKS_PER_S)
        packet.pts = packet.dts = self._last_ticks
        packet.is_keyframe = unit.key
        self._container.mux(packet)
        return self._packets.take()

    def close(self) -> None:
        """Let FFmpeg come to its end, as it must before it is freed."""
        self._container.close()


class _Packets:
    """Collects what the muxer writes: one packet by each call."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []

    def write(self, packet: bytes) -> int:
        """Keep a packet."""
        self._packets.append(bytes(packet))
        return len(packet)

    def take(self) -> list[bytes]:
        """The packets since the last call."""
        packets, self._packets = self._packets, []
        return packets


def is_rtcp(packet: bytes) -> bool:
    """Whether a packet is a report about the stream and not a part of it (RFC 5761)."""
    return 192 <= packet[1] <= 223


def describe(sps: bytes, pps: bytes, host: str, control: str) -> bytes:
    """A stream in the Session Description Protocol, for ANNOUNCE (RFC 4566, RFC 6184 sec. 8).

    Args:
        sps: Sequence parameter set.
        pps: Picture parameter set.
        host: Address of the server.
        control: Name of the stream in SETUP.
    """
    family = "IP6" if ":" in host else "IP4"
    sets = ",".join(base64.b64encode(each).decode() for each in (sps, pps))
    profile = sps[1:4].hex().upper()
    parameters = f"profile-level-id={profile}; sprop-parameter-sets={sets}"
    lines = [
        "v=0",
        f"o=- {secrets.randbits(31)} 1 IN IP4 127.0.0.1",
        "s=edge-detect",
        f"c=IN {family} {host}",
        "t=0 0",
        f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}",
        f"a=rtpmap:{_PAYLOAD_TYPE} H264/{TICKS_PER_S}",
        f"a=fmtp:{_PAYLOAD_TYPE} packetization-mode=1; {parameters}",
        f"a=control:{control}",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()
