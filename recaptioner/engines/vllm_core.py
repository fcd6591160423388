"""All that Weft says to vLLM: load, render a request, hand it over, step, end.

Written for vLLM 0.32. Prompts are rendered as its chat route renders them, so the server and the
engine in this process see the same tokens; its test compares the two.
"""

import gc
import multiprocessing
import warnings
from multiprocessing.process import BaseProcess
from typing import Any

from recaptioner.engines.base import Reply, Request
from recaptioner.engines.messages import chat_messages
from recaptioner.engines.vllm_config import (
    VllmConfig,
    lora_rank,
    model_folder,
    set_environment,
)
from schemas.errors import RecipeError

MAX_MESSAGE = 300
"""Characters of an error's message."""
_GIB = 2**30
_CPU_CACHE_GIB = 1.0
# The ranks that vLLM makes room for (vllm.config.lora).
_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_FINISHES = ("stop", "length")


class RequestRefusedError(Exception):
    """The engine takes this request not, and is well."""


def refusal(error: BaseException) -> str:
    """An exception in one line of bounded length."""
    return f"{type(error).__name__}: {' '.join(str(error)[: 2 * MAX_MESSAGE].split())}"[
        :MAX_MESSAGE
    ]


def engine_arguments(config: VllmConfig, on_cpu: bool) -> dict[str, Any]:
    """Arguments of `vllm.LLM`."""
    folder = model_folder(config.model)
    arguments: dict[str, Any] = {
        "model": config.model if folder is None else str(folder.resolve()),
        "revision": config.revision or None,
        "trust_remote_code": False,
        "dtype": config.dtype,
        "quantization": config.quantization or None,
        "max_model_len": config.max_model_len or None,
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.tensor_parallel_size,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "enforce_eager": config.enforce_eager,
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": 1},
        # A picture is asked about once; and a cache would tie rendering to stepping.
        "mm_processor_cache_gb": 0,
        "mm_processor_kwargs": dict(config.mm_processor_kwargs) or None,
        "chat_template": config.chat_template or None,
        "seed": config.seed,
        "use_tqdm_on_load": False,
    }
    # Without a GPU vLLM would take that share of the machine's memory.
    cache = config.kv_cache_gib or (_CPU_CACHE_GIB if on_cpu else 0.0)
    if cache:
        arguments["kv_cache_memory_bytes"] = int(cache * _GIB)
    if config.lora:
        rank = lora_rank(config)
        arguments["enable_lora"] = True
        arguments["max_lora_rank"] = next((r for r in _LORA_RANKS if r >= rank), rank)
    return arguments


class VllmCore:
    """A loaded `vllm.LLM`. `render` is for one thread, everything else for another.

    Raises:
        RecipeError: vLLM makes nothing of the model or its settings.
    """

    def __init__(self, config: VllmConfig, with_prompt_ids: bool) -> None:
        self._with_prompt_ids = with_prompt_ids
        self._has_own_core = config.has_own_core
        before = {process.pid for process in multiprocessing.active_children()}
        set_environment(config)
        try:
            # What its libraries warn of while they load is nothing that a user can mend.
            with warnings.catch_warnings(action="ignore"):
                self._load(config)
        except Exception as error:  # anything, of files that are no model
            raise RecipeError(
                f"recaption.vllm.model: {config.model}: vLLM cannot run it: {refusal(error)}"
            ) from error
        self.processes: list[BaseProcess] = [
            process
            for process in multiprocessing.active_children()
            if process.pid not in before and process.name.startswith("EngineCore")
        ]
        if self._has_own_core and not self.processes:
            raise RuntimeError("the process of vLLM's EngineCore is not found")

    def _load(self, config: VllmConfig) -> None:
        from vllm import LLM
        from vllm.lora.request import LoRARequest
        from vllm.platforms import current_platform

        self._llm: Any = LLM(**engine_arguments(config, current_platform.is_cpu()))
        self._lora = LoRARequest("adapter", 1, config.lora) if config.lora else None
        self._chat, self._tokens = self._rendering(config)
        # A model without a chat template is refused here, not by each of its rows.
        self._rendered([{"role": "user", "content": "a"}])

    def _rendering(self, config: VllmConfig) -> tuple[Any, Any]:
        from vllm.renderers import ChatParams
        from vllm.utils.mistral import is_mistral_tokenizer

        renderer = self._llm.renderer
        chat = ChatParams(
            chat_template=self._llm.chat_template,
            chat_template_kwargs={
                **config.chat_template_kwargs,
                "add_generation_prompt": True,
                "continue_final_message": False,
                "tokenize": is_mistral_tokenizer(renderer.tokenizer),
            },
        )
        # What begins a prompt is in the template, as on the chat route of the server.
        return chat, renderer.default_chat_tok_params.with_kwargs(add_special_tokens=False)

    def _rendered(self, messages: list[dict[str, Any]]) -> Any:
        _, prompts = self._llm.renderer.render_chat([messages], self._chat, self._tokens)
        return prompts[0]

    @property
    def llm(self) -> Any:
        """The engine as vLLM has it."""
        return self._llm

    def render(self, request: Request) -> Any:
        """Text into tokens and picture into pixels.

        Raises:
            RequestRefusedError: Of this request nothing can be made.
        """
        part = None if request.image is None else {"type": "image_pil", "image_pil": request.image}
        try:
            return self._rendered(chat_messages(request, part))
        except Exception as error:  # anything, of a picture or text that a processor has not met
            raise RequestRefusedError(refusal(error)) from error

    def add(self, request: Request, rendered: Any) -> None:
        """Hand a request over to the scheduler.

        Raises:
            RequestRefusedError: It is too long, or its values cannot be.
        """
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.sampling_params import RequestOutputKind

        sampling = request.sampling
        try:
            params = SamplingParams(
                max_tokens=sampling.max_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                repetition_penalty=sampling.repetition_penalty,
                seed=sampling.seed,
                output_kind=RequestOutputKind.FINAL_ONLY,
            )
            self._llm.llm_engine.add_request(request.key, rendered, params, lora_request=self._lora)
        except (ValueError, VLLMClientError) as error:
            raise RequestRefusedError(refusal(error)) from error

    def step(self) -> list[Reply]:
        """Compute what is next of all that is handed over; what has ended by it."""
        return [self._reply(output) for output in self._llm.llm_engine.step() if output.finished]

    def _reply(self, output: Any) -> Reply:
        made = output.outputs[0]
        ids = tuple(output.prompt_token_ids or ())
        if made.finish_reason not in _FINISHES:
            said = f"vLLM ended it: {made.finish_reason}"
            return Reply(output.request_id, error=said, may_change=True)
        return Reply(
            output.request_id,
            made.text,
            made.finish_reason,
            len(ids),
            len(made.token_ids),
            prompt_token_ids=ids if self._with_prompt_ids else (),
        )

    def close(self) -> None:
        """Give back memory and processes."""
        from vllm.distributed import cleanup_dist_env_and_memory

        llm, self._llm = self._llm, None
        llm.renderer.shutdown()
        llm.llm_engine.engine_core.shutdown()
        del llm
        if self._has_own_core:
            gc.collect()
        else:
            cleanup_dist_env_and_memory()
