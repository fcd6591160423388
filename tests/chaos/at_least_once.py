"""`weft` as it is, but for its parts, which are done twice: `python -m tests.chaos.at_least_once`.

Stage processes are forked from a server, so it is there that `doubled` has to be imported.
"""

import multiprocessing.context
import sys

from beam_runner import main

_preload = multiprocessing.context.BaseContext.set_forkserver_preload


def _preload_doubled(self: multiprocessing.context.BaseContext, names: list[str]) -> None:
    _preload(self, [*names, "tests.chaos.doubled"])


if __name__ == "__main__":
    multiprocessing.context.BaseContext.set_forkserver_preload = _preload_doubled
    sys.exit(main())
