"""An engine in a process of its own: `python FILE CONFIG` prints what it says of some pictures.

CONFIG is the JSON of a `VllmConfig`.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from recaptioner.engines.base import Request, Sampling
from recaptioner.engines.handler import answers
from recaptioner.engines.in_process import VllmEngine
from recaptioner.engines.vllm_config import VllmConfig
from tests.captioners import make_pictures

PICTURES = 12
TOKENS = 12


def requests() -> list[Request]:
    """What is asked of it: greedy, so equal weights give equal answers."""
    return [
        Request(str(number), "", "", picture, Sampling(TOKENS))
        for number, picture in enumerate(make_pictures(PICTURES))
    ]


def main(config: str) -> None:
    engine = VllmEngine(VllmConfig(**json.loads(config)))
    try:
        replies = list(answers(engine, requests()))
    finally:
        engine.close()
    print(json.dumps([[reply.text, reply.error] for reply in replies]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
