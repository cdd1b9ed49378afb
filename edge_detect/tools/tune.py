"""How many threads, and on which cores, run a model best on this board.

Candidates alternate in short rounds, so that a board that grows hot or is disturbed meanwhile
does so for all of them, and are compared round by round. Of two that are about as fast, the one
with fewer threads wins: capture, drawing and encoding need cores, too.
"""

import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.board.files import read_number, read_text
from edge_detect.core import NS_PER_MS, NS_PER_S, EdgeDetectError, monotonic_ns
from edge_detect.models.catalogue import CatalogueEntry
from edge_detect.models.checksum import check_content
from edge_detect.models.engine import check_input
from edge_detect.models.preprocess import InputWriter
from edge_detect.models.runtime import InterpreterSession, default_threads, kept_to, open_session
from edge_detect.models.tuned import Tuning

__all__ = ["Candidate", "TuneReport", "measure_tuning", "order_of_cores"]

_MOST_THREADS = 8
_MOST_ROUNDS, _LEAST_ROUNDS = 11, 3
# What is gained must be more than this, and be there in three rounds of four.
_CLEAR_GAIN = 1.05
_SURE = 0.25
# Workers of the candidate before still look out for work for some milliseconds.
_SETTLE_NS = 25 * NS_PER_MS
_BURST_NS = 50 * NS_PER_MS
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(slots=True, frozen=True)
class Candidate:
    """One way to run the model.

    Attributes:
        threads: That share one inference.
        cores: That they keep to; empty for all.
        median_ms: Of the rounds' medians.
        gain: How many times as fast as one thread without a core of its own.
    """

    threads: int
    cores: tuple[int, ...]
    median_ms: float
    gain: float


@dataclass(slots=True, frozen=True)
class TuneReport:
    """What was measured for one model.

    Attributes:
        model: Its name.
        runtime: Package and version.
        default_threads: What is taken where nothing was measured.
        threads: What is best.
        cores: See there; empty for all.
        rounds: How many there were of the numbers of threads.
        candidates: All that were measured; what keeps to cores comes last.
        busy_cores: What other programs took meanwhile: 1.0 is one busy core.
    """

    model: str
    runtime: str
    default_threads: int
    threads: int
    cores: tuple[int, ...]
    rounds: int
    candidates: tuple[Candidate, ...]
    busy_cores: float

    @property
    def tuning(self) -> Tuning:
        """What is best."""
        return Tuning(self.threads, self.cores)

    def as_json(self) -> dict[str, Any]:
        """As plain types, with the keys named after the attributes."""
        return asdict(self)


@dataclass(slots=True, eq=False)
class _Contender:
    """A session and how it did, in milliseconds by round."""

    session: InterpreterSession
    cores: tuple[int, ...] = ()
    rounds_ms: list[float] = field(default_factory=list)

    def run(self) -> float:
        """Median of some inferences in milliseconds, after others that are not counted."""
        with kept_to(self.cores):
            until_ns = monotonic_ns() + _SETTLE_NS
            self.session.invoke()
            while monotonic_ns() < until_ns:
                self.session.invoke()
            durations: list[int] = []
            until_ns = monotonic_ns() + _BURST_NS
            while not durations or monotonic_ns() < until_ns:
                began_ns = monotonic_ns()
                self.session.invoke()
                durations.append(monotonic_ns() - began_ns)
        return float(np.median(durations)) / NS_PER_MS

    def against(self, first: "_Contender", gain: float = 1.0) -> Candidate:
        """How it did beside another, whose own gain is given."""
        gain *= float(np.median(np.divide(first.rounds_ms, self.rounds_ms)))
        median_ms = float(np.median(self.rounds_ms))
        return Candidate(self.session.threads, self.cores, median_ms, gain)


def measure_tuning(
    entry: CatalogueEntry,
    *,
    runtime: str | None = None,
    most_threads: int | None = None,
    limit_s: float = 20.0,
    rounds: int = _MOST_ROUNDS,
) -> TuneReport:
    """Measure one model with 1, 2, … threads, and the best of these on cores of its own.

    Args:
        entry: The model.
        runtime: See `open_session`.
        most_threads: By default, as many as there are cores, and not more than eight.
        limit_s: About how long it may take; slow boards have fewer rounds.
        rounds: At most so many of them, at least three.

    Raises:
        ModelError: The file is missing, is not what its manifest says, or does not run here.
        DependencyError: No runtime is installed.
        EdgeDetectError: The board is too slow to tell anything in this time.
    """
    check_content(entry.path, entry.spec)
    usable = sorted(os.sched_getaffinity(0))
    began_ns, others_s = monotonic_ns(), _cpu_of_others_s()

    def deadline_ns(share: float) -> int:
        return began_ns + int(limit_s * share * NS_PER_S)

    with ExitStack() as stack:

        def contender(threads: int, cores: tuple[int, ...] = ()) -> _Contender:
            session = _open(entry, runtime, threads, cores)
            stack.callback(session.close)
            return _Contender(session, cores)

        most = most_threads or min(_MOST_THREADS, len(usable))
        free = [contender(threads) for threads in range(1, most + 1)]
        _alternate(free, rounds, deadline_ns(0.75))
        if len(free[0].rounds_ms) < _LEAST_ROUNDS:
            raise EdgeDetectError(
                f"{entry.name} is too slow here to be tuned within {limit_s:.0f} s",
                f"it runs with {default_threads()} threads; threads in the configuration, or "
                "--threads, say another number",
            )
        best = free[choose([each.rounds_ms for each in free])]
        candidates = [each.against(free[0]) for each in free]
        taken = candidates[free.index(best)]
        done = len(best.rounds_ms)
        if taken.threads < len(usable):
            loose = _Contender(best.session)
            cores = tuple(sorted(order_of_cores(usable)[: taken.threads]))
            kept = contender(taken.threads, cores)
            _alternate([loose, kept], rounds, deadline_ns(1.0))
            if len(kept.rounds_ms) >= _LEAST_ROUNDS:
                candidates.append(kept.against(loose, taken.gain))
                taken = candidates[-1] if choose([loose.rounds_ms, kept.rounds_ms]) else taken
        others_s = max(0.0, _cpu_of_others_s() - others_s)
        return TuneReport(
            model=entry.name,
            runtime=best.session.runtime,
            default_threads=default_threads(),
            threads=taken.threads,
            cores=taken.cores,
            rounds=done,
            candidates=tuple(candidates),
            busy_cores=others_s * NS_PER_S / (monotonic_ns() - began_ns),
        )


def choose(rounds_ms: Sequence[Sequence[float]]) -> int:
    """Find the first candidate than which no later one is clearly faster.

    Args:
        rounds_ms: Milliseconds of each candidate, round by round.

    Returns:
        Its number.
    """
    times = np.asarray(rounds_ms, np.float64)
    return next(
        number
        for number, own in enumerate(times)
        if not any(_is_clearly_faster(other, own) for other in times[number + 1 :])
    )


def _is_clearly_faster(times: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    gains = others / times
    return bool(np.median(gains) > _CLEAR_GAIN and np.quantile(gains, _SURE) > 1)


def order_of_cores(usable: Sequence[int], root: Path = _CPUS) -> list[int]:
    """Sort cores by how well inferences run on them.

    Fast cores come before slow ones, and second threads of a core after all cores. Among equal
    ones the last comes first, as the kernel prefers the first for interrupts.

    Args:
        usable: Their numbers.
        root: Where the kernel describes them.
    """

    def rank(core: int) -> tuple[int, bool, int]:
        folder = root / f"cpu{core}"
        speed = read_number(folder / "cpu_capacity")
        if speed is None:
            speed = read_number(folder / "cpufreq/cpuinfo_max_freq") or 0
        first = re.match(r"\d+", read_text(folder / "topology/thread_siblings_list") or "")
        return -speed, first is not None and int(first[0]) != core, -core

    return sorted(usable, key=rank)


def _cpu_of_others_s() -> float:
    """Seconds that all cores together have worked since boot, but not for this process."""
    fields = (read_text(Path("/proc/stat")) or "").partition("\n")[0].split()[1:9]
    user, nice, system, _, _, interrupts, soft, stolen = (int(each) for each in fields or "0" * 8)
    ticks = user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def _alternate(contenders: Sequence[_Contender], rounds: int, until_ns: int) -> None:
    """Let each run once a round, in turns from the first and from the last."""
    for number in range(rounds):
        found = {}
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            if monotonic_ns() > until_ns:
                return
            found[id(contender)] = contender.run()
        for contender in contenders:
            contender.rounds_ms.append(found[id(contender)])


def _open(
    entry: CatalogueEntry, runtime: str | None, threads: int, cores: tuple[int, ...]
) -> InterpreterSession:
    """Open a model that has noise to look at, as zeros are a rare and easy picture."""
    spec = entry.spec.input
    session = open_session(
        entry.path,
        threads=threads,
        runtime=runtime,
        cpu_twin=entry.spec.cpu_twin,
        cores=cores,
        input_shape=spec.tensor_shape,
    )
    check_input(entry, session)
    noise = np.random.default_rng(0).integers(0, 256, spec.tensor_shape[1:], np.uint8)
    InputWriter(spec, session.inputs[0]).write(noise, session.input_view())
    return session
