"""What `make bench-recaption` times, in a process of its own: one engine, both sides in turn.

Ours is the whole part: pictures read from a pack and decoded, questions rendered, answers checked,
asked again where they are refused, noted in the journal, written. The other side is one call of
`LLM.generate` with every prompt that ours asked, its pictures decoded in memory before the clock
starts.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.processes import say
from benchmarks.recaption_inputs import PLAN, draw_items, write_plan
from recaptioner.config import RecaptionConfig
from recaptioner.engines.base import Reply, Request
from recaptioner.engines.in_process import VllmEngine
from recaptioner.engines.vllm_config import VllmConfig
from recaptioner.identity import ladder_of
from recaptioner.recaption import COMPLETION_TOKENS, COUNTED, STAGE, Recaption
from transforms.score_plan import PlannedSlice
from transforms.sink import Part, PartSink


class TappedEngine:
    """An engine that remembers what it was asked."""

    def __init__(self, engine: VllmEngine) -> None:
        self._engine = engine
        self.capacity = engine.capacity
        self.model = engine.model
        self.asked: list[Request] = []

    def submit(self, request: Request) -> None:
        """Pass a request on."""
        self.asked.append(request)
        self._engine.submit(request)

    def poll(self) -> list[Reply]:
        """Pass replies back."""
        return self._engine.poll()

    def close(self) -> None:
        """Whoever made the engine closes it."""


class KeptHandler:
    """Gives an engine that is loaded already."""

    def __init__(self, engine: TappedEngine) -> None:
        self._engine = engine

    def load_model(self) -> TappedEngine:
        """Its hook."""
        return self._engine


def run_ours(function: Recaption, images: int, number: int) -> dict[str, float]:
    """One part, from its plan to its commit record."""
    part = Part(f"answers-{number}", "bench", (PlannedSlice(PLAN, 0, images),))
    begin = time.perf_counter()
    with PartSink(STAGE, function.output, part) as sink:
        function(part, sink)
        commit = sink.publish()
    seconds = time.perf_counter() - begin
    counts = commit.counts[COUNTED]
    assert counts.kept == images, counts
    return {"seconds": seconds, "tokens": commit.facts[COMPLETION_TOKENS]}


def bare_prompts(llm: Any, asked: list[Request]) -> tuple[list[Any], list[Any]]:
    """Every prompt that ours asked, as `LLM.generate` takes it, and its sampling."""
    from vllm import SamplingParams

    tokenizer = llm.get_tokenizer()
    prompts, params = [], []
    for request in asked:
        content: list[dict[str, str]] = [] if request.image is None else [{"type": "image"}]
        content += [{"type": "text", "text": request.user}] if request.user else []
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if request.system:
            messages.insert(0, {"role": "system", "content": request.system})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.encode(text, add_special_tokens=False)
        prompt: dict[str, Any] = {"prompt_token_ids": ids}
        if request.image is not None:
            prompt["multi_modal_data"] = {"image": request.image}
        prompts.append(prompt)
        params.append(SamplingParams(**asdict(request.sampling)))
    return prompts, params


def run_bare(llm: Any, prompts: list[Any], params: list[Any]) -> dict[str, float]:
    """One call."""
    begin = time.perf_counter()
    outputs = llm.generate(prompts, params, use_tqdm=False)
    seconds = time.perf_counter() - begin
    tokens = sum(len(each.outputs[0].token_ids) for each in outputs)
    return {"seconds": seconds, "tokens": tokens, "prompts": len(outputs)}


def measure(model: str, is_plain: bool, images: int, rounds: int) -> dict[str, Any]:
    """Both sides in turn, after a round to warm up.

    Args:
        model: A folder or hub name.
        is_plain: Whether it takes no instruction, as the shipped captioner.
        images: Pictures, each with one text.
        rounds: Of which the time is told.
    """
    vllm = VllmConfig(model=model, enforce_eager=True, max_num_seqs=64)
    config = RecaptionConfig(mode="vecap", vllm=vllm)
    if is_plain:
        config = replace(config, describe="describe_plain", fuse="fuse_plain")
    say(f"loading {model}")
    engine = VllmEngine(vllm)
    llm = engine.llm
    tapped = TappedEngine(engine)
    ours: list[dict[str, float]] = []
    bare: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as name:
        output = Path(name)
        write_plan(output, draw_items(images))
        function = Recaption(
            name, KeptHandler(tapped), ladder_of(config, "bench"), config.max_side,
            config.decoders,
        )  # fmt: skip
        for number in range(-1, rounds):
            say("warming up" if number < 0 else f"round {number + 1} of {rounds}")
            llm.reset_prefix_cache()
            tapped.asked.clear()
            ours.append(run_ours(function, images, number + 1))
            prompts, params = bare_prompts(llm, tapped.asked)
            llm.reset_prefix_cache()
            bare.append(run_bare(llm, prompts, params))
    engine.close()
    return {"ours": ours[1:], "bare": bare[1:], "requests": len(tapped.asked)}


def main() -> None:
    """Program entry."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recaption_sides")
    parser.add_argument("--model", required=True)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    given = parser.parse_args()
    print(json.dumps(measure(given.model, given.plain, given.images, given.rounds)))


if __name__ == "__main__":
    main()
