"""What of H.264's byte stream has to be understood to send it on or keep it."""

from collections.abc import Iterator

__all__ = ["ParameterSets", "nal_unit_types", "parameter_sets"]

# Types of NAL units: ITU-T H.264, table 7-1. Those up to 5 carry parts of a picture.
_LAST_PICTURE_TYPE, _IDR, _SPS, _PPS = 5, 5, 7, 8
_START = b"\x00\x00\x01"


class ParameterSets:
    """Has every key frame begin with the parameter sets that it is decoded with.

    libx264 sees to that itself. Encoders in hardware tend to give them once, before the
    first picture, which is too early for viewers that come later.
    """

    def __init__(self) -> None:
        self._sets = b""

    def complete(self, data: bytes) -> bytes | None:
        """Make sure of the parameter sets.

        Args:
            data: What came out of the encoder, in Annex B form.

        Returns:
            The access unit, with parameter sets if it can be decoded on its own; None where
            `data` holds no picture.
        """
        units = list(_nal_units(data))
        sets = b"".join(data[begin:end] for kind, begin, end in units if kind in (_SPS, _PPS))
        if sets:
            self._sets = sets
        kinds = {kind for kind, _, _ in units}
        if not any(1 <= kind <= _LAST_PICTURE_TYPE for kind in kinds):
            return None
        return self._sets + data if _IDR in kinds and _SPS not in kinds else data


def parameter_sets(data: bytes) -> tuple[bytes, bytes]:
    """The sequence and picture parameter sets in front of a key frame.

    Args:
        data: An access unit in Annex B form.

    Returns:
        Both without start codes; empty where missing.
    """
    found = {_SPS: b"", _PPS: b""}
    for kind, begin, end in _nal_units(data):
        if kind in found:
            found[kind] = data[begin + len(_START) : end].rstrip(b"\x00")
    return found[_SPS], found[_PPS]


def nal_unit_types(data: bytes) -> list[int]:
    """The types of the NAL units in Annex B data, up to the first that holds a picture."""
    return [kind for kind, _, _ in _nal_units(data)]


def _nal_units(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each unit, up to the first that holds a picture."""
    begin = data.find(_START)
    while 0 <= begin < len(data) - len(_START):
        kind = data[begin + len(_START)] & 0x1F
        if 1 <= kind <= _LAST_PICTURE_TYPE:
            yield kind, begin, len(data)
            return
        following = data.find(_START, begin + len(_START))
        yield kind, begin, len(data) if following < 0 else following
        begin = following
