"""Peak memory of a run by role: its driver, its stage process, its workers.

Forked processes share pages, so a process's resident size (RSS) counts what others count too; its
own part is the unique set size (USS), and shares of shared pages make up the proportional set size
(PSS). Resident peaks come from the system's high-water mark where it keeps one, the others from
sampling.
"""

import contextlib
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.processes import ROOT, RUN_SECONDS

INTERVAL_SECONDS = 0.5
MIN_SAMPLES = 3
"""A process seen less often is a program about to become another one."""
MB = 1e6


@dataclass
class _Peak:
    role: str
    samples: int = 0
    rss: float = 0.0
    uss: float = 0.0
    pss: float = 0.0


@dataclass
class MemorySampler:
    """Watches a process and all below it until it ends, in a thread of its own."""

    pid: int
    interval: float = INTERVAL_SECONDS
    total_pss: float = 0.0
    _peaks: dict[tuple[int, float], _Peak] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._root = psutil.Process(self.pid)
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def by_role(self) -> dict[str, dict[str, float]]:
        """Megabytes (10^6 bytes) by role: the largest peak of any process that had it."""
        found: dict[str, list[_Peak]] = defaultdict(list)
        for peak in self._peaks.values():
            if peak.samples >= MIN_SAMPLES:
                found[peak.role].append(peak)
        return {
            role: {
                "processes": len(peaks),
                "rss": round(max(peak.rss for peak in peaks) / MB, 1),
                "uss": round(max(peak.uss for peak in peaks) / MB, 1),
                "pss": round(max(peak.pss for peak in peaks) / MB, 1),
            }
            for role, peaks in sorted(found.items())
        }

    def _watch(self) -> None:
        while not self._stop.is_set():
            begin = time.monotonic()
            try:
                self._sample()
            except psutil.NoSuchProcess:
                pass  # the driver has ended; whoever started it will say so
            except Exception as e:
                # Peaks of half a run must not pass for those of a whole one.
                self._error = e
                return
            self._stop.wait(max(0.0, self.interval - (time.monotonic() - begin)))

    def _sample(self) -> None:
        total = 0.0
        depths = {self.pid: 0}
        for process in [self._root, *self._root.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.pid != self.pid:
                    above = depths.get(process.ppid())
                    if above is None:
                        continue  # an orphan: its parent ended since the listing
                    depths[process.pid] = above + 1
                total += self._measure(process, depths[process.pid])
        self.total_pss = max(self.total_pss, total)

    def _measure(self, process: psutil.Process, depth: int) -> float:
        command = " ".join(process.cmdline())
        if not command:
            return 0.0  # it has ended, or is not yet the program it will be
        peak = self._peaks.setdefault((process.pid, process.create_time()), _Peak(""))
        peak.role = role_of(depth, command)
        memory = process.memory_full_info()
        pss = float(getattr(memory, "pss", memory.uss))
        peak.samples += 1
        peak.rss = max(peak.rss, memory.rss, _high_water(process.pid))
        peak.uss = max(peak.uss, memory.uss)
        peak.pss = max(peak.pss, pss)
        return pss


def run_watched(
    command: Sequence[str | Path],
    seconds: int = RUN_SECONDS,
    interval: float = INTERVAL_SECONDS,
) -> tuple[str, MemorySampler]:
    """What a program prints within so many seconds, and the memory of its processes.

    Args:
        command: The program and its arguments.
        seconds: That it may take.
        interval: Seconds from one look at the memory to the next.

    Raises:
        SystemExit: The program failed; it has said why on standard error.
    """
    words = [str(word) for word in command]
    with (
        subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process,
        MemorySampler(process.pid, interval) as sampler,
    ):
        answer, _ = process.communicate(timeout=seconds)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(words)}: ended with status {process.returncode}")
    return answer, sampler


def role_of(depth: int, command: str) -> str:
    """What a process is, by its distance from the driver and its command line.

    The driver starts a server that stage processes are forked from; a stage process forks a server
    that the workers are forked from, and Beam starts a stand-in program for every worker.
    """
    if "resource_tracker" in command or "worker_client" in command:
        return "helper"
    roles = ("driver", "stage server", "stage process", "worker server", "worker")
    return roles[depth] if depth < len(roles) else "helper"


def _high_water(pid: int) -> float:
    """The most bytes that were ever resident in a process; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return 0.0
