"""How fast the processor runs at the moment."""

from pathlib import Path

from edge_detect.board.files import read_number

__all__ = ["read_frequencies_hz"]

_HZ_PER_KHZ = 1000


def read_frequencies_hz(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """Clock of the fastest core now, and the highest that is allowed; None where not told.

    Args:
        root: Where `sys` is.
    """
    system = root / "sys/devices/system/cpu"
    policies = sorted((system / "cpufreq").glob("policy*"))
    if not policies:
        policies = sorted(system.glob("cpu[0-9]*/cpufreq"))
    return _most(policies, "scaling_cur_freq"), _most(policies, "scaling_max_freq")


def _most(policies: list[Path], name: str) -> int | None:
    found = [khz for policy in policies if (khz := read_number(policy / name)) is not None]
    return max(found) * _HZ_PER_KHZ if found and max(found) > 0 else None
