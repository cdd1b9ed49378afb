"""How much time has certainly passed since a moment of an earlier boot.

The time of day proves nothing while it is not confirmed: a clock that was 60 days behind and
a computer that was off for 60 days look alike. What counts is

* how long the computer has run since: the rest of that boot, the boots between, this one;
* the time of day, where the system said that it is synchronized (NTP), during that boot and during
  this one. A boot whose clock never was ended before the next one began, so that the next
  synchronized clock bounds its time.

So an age is never too high. It is too low, and a recording is kept too long, by the time for which
the computer was off beside boots without a synchronized clock: without a network, an age is
running time. The end of a boot is known to the hour, or exactly where the recorder was closed.
"""

from dataclasses import dataclass

from edge_detect.core.clock import Moment

__all__ = ["Boots"]


@dataclass(slots=True)
class _Boot:
    """What is known of a boot.

    Attributes:
        up_s: How long it lasted at least.
        synced: The last moment at which its clock was synchronized.
    """

    up_s: float
    synced: Moment | None = None

    @property
    def began_s(self) -> float | None:
        """Unix time of its beginning; None if its clock never was synchronized."""
        return None if self.synced is None else self.synced.unix_s - self.synced.up_s


class Boots:
    """All boots that are known, in the order in which they were."""

    def __init__(self) -> None:
        self._boots: dict[str, _Boot] = {}

    def __len__(self) -> int:
        return len(self._boots)

    def add(self, moment: Moment) -> None:
        """Learn from a moment; one of a boot without a name teaches nothing."""
        if not moment.boot:
            return
        boot = self._boots.setdefault(moment.boot, _Boot(moment.up_s))
        boot.up_s = max(boot.up_s, moment.up_s)
        if moment.synced and (boot.synced is None or boot.synced.up_s <= moment.up_s):
            boot.synced = moment

    def moments(self) -> list[Moment]:
        """As few moments as teach all of this."""
        found = []
        for name, boot in self._boots.items():
            if boot.synced is not None:
                found.append(boot.synced)
            if boot.synced is None or boot.synced.up_s < boot.up_s:
                found.append(Moment(0.0, boot.up_s, name))
        return found

    def drop_before(self, name: str) -> None:
        """Forget the boots before one."""
        if name in self._boots:
            for each in list(self._boots):
                if each == name:
                    return
                del self._boots[each]

    def age_s(self, made: Moment, now: Moment) -> float:
        """How long ago a moment was, at least.

        Args:
            made: The moment.
            now: This moment.
        """
        if not made.boot or not now.boot:
            return 0.0
        if made.boot == now.boot:
            return now.up_s - made.up_s
        if made.boot not in self._boots:
            return now.up_s
        chain = self._chain(made, now)
        # How long the computer has run: it was off in between for an unknown time.
        run_s = sum(boot.up_s for boot in chain) - made.up_s
        made_s, now_s = _latest_s(chain, made), _earliest_s(chain)
        if made_s is None or now_s is None:
            return run_s
        return max(run_s, now_s - made_s)

    def _chain(self, made: Moment, now: Moment) -> list[_Boot]:
        """The boots from one to the present one, as they are now."""
        names = list(self._boots)
        names = names[names.index(made.boot) :]
        chain = [self._boots[name] for name in names if name != now.boot]
        known = self._boots.get(now.boot)
        synced = now if now.synced or known is None else known.synced
        return [*chain, _Boot(now.up_s, synced if synced and synced.synced else None)]


def _latest_s(chain: list[_Boot], made: Moment) -> float | None:
    """The latest unix time at which a moment of the first boot can have been."""
    run_s = -made.up_s
    for boot in chain:
        if boot.began_s is not None:
            return boot.began_s - run_s
        run_s += boot.up_s
    return None


def _earliest_s(chain: list[_Boot]) -> float | None:
    """The earliest unix time at which the end of the last boot can be."""
    run_s = 0.0
    for boot in reversed(chain):
        run_s += boot.up_s
        if boot.began_s is not None:
            return boot.began_s + run_s
    return None
