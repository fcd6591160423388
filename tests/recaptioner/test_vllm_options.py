"""A LoRA adapter and two tensor ranks in real vLLM: an adapter is the model with its product in the
weights, and a model on two ranks is the model.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file

from recaptioner.engines.gpus import visible_gpus
from recaptioner.engines.handler import answers
from tests.recaptioner import caption_process

SCRIPT = Path(caption_process.__file__)
SECONDS = 400.0
"""Longest wait, of which loading is nearly all."""
RANK, ALPHA = 4, 8
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
STRENGTH = 0.15
"""Of what is drawn: enough that most captions change."""


def captions(
    model: Path, environment: Mapping[str, str] | None = None, **options: Any
) -> list[str]:
    """What an engine of its own says of the pictures; it leaves no process behind."""
    config = {"model": str(model), "dtype": "float32", "enforce_eager": True, "max_num_seqs": 8}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), json.dumps(config | {"kv_cache_gib": 0.25} | options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        told, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, errors[-3000:]
        assert psutil.wait_procs(session(process.pid), timeout=60)[1] == []
    finally:
        for left in session(process.pid):
            left.kill()
    replies = json.loads(told.splitlines()[-1])
    assert {error for _, error in replies} == {""}
    return [text for text, _ in replies]


def session(leader: int) -> list[psutil.Process]:
    """The processes of a session that run."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                found.append(process)
        except ProcessLookupError:
            pass
    return found


def write_adapter(model: Path, adapter: Path, merged: Path) -> None:
    """An adapter of the decoder as PEFT writes it, and the model with its product added."""
    shutil.copytree(model, merged)
    adapter.mkdir()
    weights = load_file(model / "model.safetensors")
    rng = np.random.default_rng(0)
    factors: dict[str, np.ndarray] = {}
    for name in sorted(weights):
        layer = name.removesuffix(".weight")
        if not name.startswith("language_model.") or layer.rpartition(".")[2] not in TARGETS:
            continue
        rows, columns = weights[name].shape
        a = rng.normal(0, STRENGTH, (RANK, columns)).astype(np.float32)
        b = rng.normal(0, STRENGTH, (rows, RANK)).astype(np.float32)
        factors[f"base_model.model.{layer}.lora_A.weight"] = a
        factors[f"base_model.model.{layer}.lora_B.weight"] = b
        weights[name] = weights[name] + np.float32(ALPHA / RANK) * (b @ a)
    assert len(factors) == 2 * 3 * len(TARGETS)
    save_file(factors, adapter / "adapter_model.safetensors")
    save_file(weights, merged / "model.safetensors", {"format": "pt"})
    facts: dict[str, object] = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": TARGETS,
    }
    (adapter / "adapter_config.json").write_text(
        json.dumps(
            facts | {"base_model_name_or_path": "", "bias": "none", "task_type": "CAUSAL_LM"}
        )
    )


def changed(found: list[str], engine: Any) -> int:
    """How many captions are not those of the model that is shipped."""
    plain = [reply.text for reply in answers(engine, caption_process.requests())]
    return sum(one != other for one, other in zip(found, plain, strict=True))


@pytest.fixture(scope="module")
def adapted(captioner_folder, tmp_path_factory):
    """An adapter, and the captions of the model that has it in its weights."""
    folder = tmp_path_factory.mktemp("adapted")
    write_adapter(captioner_folder, folder / "adapter", folder / "merged")
    return str(folder / "adapter"), captions(folder / "merged")


@pytest.mark.slow
def test_an_adapter_is_as_good_as_merged_weights(captioner_folder, adapted, vllm_engine):
    adapter, expected = adapted
    assert changed(expected, vllm_engine) >= caption_process.PICTURES // 2
    assert captions(captioner_folder, lora=adapter) == expected


@pytest.mark.slow
def test_two_ranks_say_what_one_says(captioner_folder, adapted):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or visible_gpus():
        pytest.skip("two ranks need two cores, and with a GPU two of them")
    adapter, expected = adapted
    # vLLM's build for CPUs gives a rank the cores of a memory node; there may be one node only.
    environment = {"VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}|{cores[1]}"}
    found = captions(captioner_folder, environment, lora=adapter, tensor_parallel_size=2)
    assert found == expected
