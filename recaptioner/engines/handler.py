"""Beam's handler of an engine, for whoever wants to put one into `RunInference`.

The stage itself takes what `load_model` gives and feeds it request by request: a batch ends with
its slowest request, an engine that is fed does not wait for it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from recaptioner.engines.base import Engine, Reply, Request
from recaptioner.engines.in_process import VllmEngine
from recaptioner.engines.server import ServerEngine
from recaptioner.engines.server_config import ServerConfig
from recaptioner.engines.vllm_config import VllmConfig


def load_engine(config: VllmConfig | ServerConfig) -> Engine:
    """The engine of a section of a recipe, ready to be asked.

    Raises:
        RecipeError: It cannot be as it is written.
        EngineLostError: It cannot be reached, or does not get ready.
    """
    return VllmEngine(config) if isinstance(config, VllmConfig) else ServerEngine(config)


def answers(engine: Engine, requests: Sequence[Request]) -> Iterator[Reply]:
    """Replies in the order of the requests, whose keys differ; the engine is kept full.

    Raises:
        EngineLostError: The engine is gone.
    """
    waiting = iter(requests)
    in_flight = 0
    ended: dict[str, Reply] = {}
    for request in requests:
        while request.key not in ended:
            while in_flight < engine.capacity and (more := next(waiting, None)) is not None:
                engine.submit(more)
                in_flight += 1
            replies = engine.poll()
            in_flight -= len(replies)
            ended.update((reply.key, reply) for reply in replies)
        yield ended.pop(request.key)


class CaptionHandler(ModelHandler[Request, Reply, Engine]):
    """Requests in, replies out, in their order.

    Args:
        config: Section `recaption.vllm` or `recaption.server`.
    """

    def __init__(self, config: VllmConfig | ServerConfig) -> None:
        super().__init__()
        self._config = config

    def __repr__(self) -> str:
        # What is made of the same section is the same, in whatever worker.
        return f"{type(self).__name__}({self._config!r})"

    def load_model(self) -> Engine:
        """Beam's hook: once a process."""
        return load_engine(self._config)

    def run_inference(
        self, batch: Sequence[Request], model: Engine, inference_args: Any = None
    ) -> Iterator[Reply]:
        """Beam's hook."""
        del inference_args
        return answers(model, batch)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Beam's hook: batches that fill the engine."""
        return {"max_batch_size": 2 * self._config.capacity}

    def get_metrics_namespace(self) -> str:
        """Beam's hook."""
        return "recaption"
