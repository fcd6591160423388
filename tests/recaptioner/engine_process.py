"""A process that holds an engine with a core of its own, to be killed: `python FILE MODEL`.

It prints a line of JSON for each thing that happens, and stays.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recaptioner.engines.base import EngineLostError, Request, Sampling
from recaptioner.engines.in_process import VllmEngine
from recaptioner.engines.vllm_config import VllmConfig
from tests.captioners import make_pictures


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main(model: str) -> None:
    engine = VllmEngine(
        VllmConfig(
            model=model, dtype="float32", enforce_eager=True, kv_cache_gib=0.25, max_num_seqs=4,
            separate_process=True, step_seconds=300.0,
        )
    )  # fmt: skip
    (picture,) = make_pictures(1)

    def submit(key: str, tokens: int) -> None:
        engine.submit(Request(key, "", "", picture, Sampling(tokens)))

    submit("first", 8)
    (reply,) = engine.poll()
    for number in range(engine.capacity):
        submit(str(number), 400)
    say(text=reply.text, error=reply.error)
    try:
        while replies := engine.poll():
            for reply in replies:
                submit(reply.key, 400)
    except EngineLostError as error:
        say(lost=str(error))
    time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1])
