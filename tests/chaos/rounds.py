"""What happens in a round: everything is drawn from the seed and the round's number.

Rounds take the sorts in turn, so the first three have one each of worker, driver and store; the
kind within a sort, the moments and the victims are drawn. A moment is a share of the files that the
undisturbed run writes below its output: the strike comes when so many are there, and a drawn pause
later, whatever the speed of the machine.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

SORTS: Mapping[str, tuple[str, ...]] = {
    "worker": ("worker", "workers", "stage-process"),
    "driver": ("driver", "driver-group", "sigterm", "sigint"),
    "store": ("outage", "storm", "store-driver", "store-worker"),
    "disk": ("disk",),
    "parts": ("doubled", "forgotten", "rivals"),
}
"""Sorts of trouble in the order rounds take them, and the kinds of each."""
MEANING: Mapping[str, str] = {
    "worker": "SIGKILL of a worker",
    "workers": "SIGKILL of all workers",
    "stage-process": "SIGKILL of the stage process",
    "driver": "SIGKILL of the driver",
    "driver-group": "SIGKILL of the driver and its process group",
    "sigterm": "SIGTERM to the driver",
    "sigint": "SIGINT to the driver's process group, as Ctrl-C",
    "outage": "every request to the store gets 500 until the run has given up",
    "storm": "requests to the store get 500, 503 and SlowDown, and are cut in the middle",
    "store-driver": "SIGKILL of the driver, on a store",
    "store-worker": "SIGKILL of a worker, on a store",
    "disk": "the disk is full",
    "doubled": "every part is handed to the workers twice, and a worker gets SIGKILL",
    "forgotten": "SIGKILL of the driver; some commit records are lost, their files stay",
    "rivals": "a second driver on the same output in a store",
}
ON_STORE = frozenset({*SORTS["store"], "rivals"})
STOPPING = frozenset({*SORTS["driver"], "store-driver", "forgotten"})
"""Kinds whose victim is the driver, so that a start that ends well was not struck."""
NOTES = "WEFT_CHAOS_NOTES"
"""Environment variable: a file that gets a line for every attempt at a part that is doubled."""
MOST_STRIKES = 2
MAX_PAUSE = 0.4
"""Seconds after the moment's file."""


@dataclass(frozen=True)
class Strike:
    """One thing that is done to a run."""

    moment: float
    """Share of the undisturbed run's files that are there."""
    pause: float
    """Seconds after that."""
    draw: float
    """In [0, 1): picks the victim, or how much."""


@dataclass(frozen=True)
class Round:
    """A planned round."""

    number: int
    sort: str
    kind: str
    seed: int
    """Of what is drawn while it runs."""
    strikes: tuple[Strike, ...]
    """In the order of their moments."""

    @property
    def on_store(self) -> bool:
        """Whether the output lies in a store."""
        return self.kind in ON_STORE

    def sooner(self) -> "Round":
        """The same round with all its moments earlier."""
        strikes = (replace(strike, moment=strike.moment / 2, pause=0.0) for strike in self.strikes)
        return replace(self, strikes=tuple(strikes))


def plan_round(seed: int, number: int) -> Round:
    """The round of a number, counted from 0."""
    rng = random.Random(f"{seed} {number}")
    turn, position = divmod(number, len(SORTS))
    sort = list(SORTS)[position]
    # Dealt from a shuffled pack: fifty rounds have every kind.
    cycle, card = divmod(turn, len(SORTS[sort]))
    kinds = SORTS[sort]
    kind = random.Random(f"{seed} {sort} {cycle}").sample(kinds, len(kinds))[card]
    # A storm does not end; a second driver and doubled parts are twice the work as it is.
    most = 1 if kind in ("storm", "rivals", "doubled") else MOST_STRIKES
    moments = sorted(rng.random() * 0.97 for _ in range(rng.randint(1, most)))
    strikes = tuple(Strike(moment, rng.random() * MAX_PAUSE, rng.random()) for moment in moments)
    return Round(number, sort, kind, rng.randrange(2**32), strikes)
