"""How many objects are where, without flicker."""

from edge_detect.core import NS_PER_S
from edge_detect.service.mqtt.topics import ALL, level

__all__ = ["Occupancy", "Place"]

# Zone (or ALL) and class (or ALL), as they stand in topics.
Place = tuple[str, str]

# A smaller number must last so long: objects stand on a zone's edge.
_SETTLE_NS = NS_PER_S


class Occupancy:
    """Numbers of objects by zone and class: they grow at once, and shrink after a second.

    Args:
        places: Those that are told of even if nothing was ever there.
    """

    def __init__(self, places: list[Place]) -> None:
        self._shown: dict[Place, int] = dict.fromkeys(places, 0)
        self._below_ns: dict[Place, int] = {}

    @property
    def shown(self) -> dict[Place, int]:
        """The numbers in force."""
        return dict(self._shown)

    def update(self, counts: dict[tuple[str, str], int], now_ns: int) -> dict[Place, int]:
        """Take in new numbers.

        Args:
            counts: By zone and class; zone "" is the whole picture.
            now_ns: CLOCK_MONOTONIC time; those of successive calls must not fall.

        Returns:
            The numbers that change now.
        """
        target: dict[Place, int] = {}
        for (zone, label), number in counts.items():
            if zone == ALL:
                # A zone of that name says no more than the whole picture.
                continue
            for place in ((zone or ALL, level(label)), (zone or ALL, ALL)):
                target[place] = target.get(place, 0) + number
        changed = {}
        for place in self._shown.keys() | target.keys():
            shown, wanted = self._shown.get(place), target.get(place, 0)
            if shown is not None and wanted < shown:
                since_ns = self._below_ns.setdefault(place, now_ns)
                if now_ns - since_ns < _SETTLE_NS:
                    continue
            self._below_ns.pop(place, None)
            if shown != wanted:
                self._shown[place] = changed[place] = wanted
        return changed
