"""What a recipe may say of an engine, and what vLLM is told of it."""

import json
from importlib.util import find_spec

import pytest

from recaptioner.engines import vllm_config
from recaptioner.engines.server_config import ServerConfig, api_key, check_server
from recaptioner.engines.vllm_config import TINY, VllmConfig, check_vllm, lora_rank, set_environment
from recaptioner.engines.vllm_core import engine_arguments
from schemas.errors import RecipeError


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(vllm_config, "find_spec", lambda name: object())


@pytest.mark.usefixtures("installed")
def test_a_folder_and_a_name_of_the_hub_are_models(model):
    check_vllm(VllmConfig(model=str(model)))
    check_vllm(VllmConfig(model="llava-hf/llava-1.5-7b-hf", revision="main"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, r"vllm\.model: name the model"),
        ({"model": "/no/such/folder"}, r"vllm\.model: '/no/such/folder' is no folder"),
        ({"model": "../x"}, r"vllm\.model: '\.\./x' is no folder"),
        ({"dtype": "fp4"}, r"vllm\.dtype: 'fp4' is none of auto, float32"),
        ({"max_model_len": -1}, r"vllm\.max_model_len: must be at least 0"),
        ({"max_num_seqs": 0}, r"vllm\.max_num_seqs: must be at least 1"),
        ({"tensor_parallel_size": 0}, r"vllm\.tensor_parallel_size: must be at least 1"),
        ({"gpu_memory_utilization": 0.0}, r"vllm\.gpu_memory_utilization: must be above 0"),
        ({"gpu_memory_utilization": 1.1}, r"vllm\.gpu_memory_utilization: must be above 0"),
        ({"gpu_memory_utilization": float("nan")}, r"vllm\.gpu_memory_utilization"),
        ({"kv_cache_gib": -0.1}, r"vllm\.kv_cache_gib: must be at least 0"),
        ({"step_seconds": 0.0}, r"vllm\.step_seconds: must be above 0"),
        ({"load_seconds": float("nan")}, r"vllm\.load_seconds: must be above 0"),
        ({"revision": "main"}, r"vllm\.revision: .* is a folder"),
        ({"lora": "/no/adapter"}, r"vllm\.lora: /no/adapter is no folder of a LoRA adapter"),
        ({"chat_template": "/no.jinja"}, r"vllm\.chat_template: there is no file /no\.jinja"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_vllm_cannot_run_is_refused(model, settings, message):
    with pytest.raises(RecipeError, match=message):
        check_vllm(VllmConfig(**{"model": str(model), **settings}))


@pytest.mark.usefixtures("installed")
def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"holds no config\.json"):
        check_vllm(VllmConfig(model=str(tmp_path)))


def test_without_vllm_the_recipe_says_how_to_get_it(model, monkeypatch):
    monkeypatch.setattr(vllm_config, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="make setup-recaption"):
        check_vllm(VllmConfig(model=str(model)))


def write_adapter(folder, **values):
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return str(folder)


@pytest.mark.parametrize("values", [{}, {"r": 0}, {"r": "8"}], ids=["none", "zero", "text"])
def test_an_adapter_without_a_rank_is_refused(tmp_path, values):
    with pytest.raises(RecipeError, match=r"vllm\.lora"):
        lora_rank(VllmConfig(lora=write_adapter(tmp_path / "a", **values)))


def test_the_record_names_no_path(model, tmp_path):
    lora = write_adapter(tmp_path / "tuned", r=4)
    assert VllmConfig(model=str(model)).record_name == "my-model"
    assert VllmConfig(model=f"{model}/", lora=lora).record_name == "my-model+tuned"
    assert VllmConfig(model="a/b", revision="v1").record_name == "a/b@v1"
    assert VllmConfig(model=TINY).record_name == TINY


def test_a_core_of_its_own_is_what_several_gpus_take():
    assert not VllmConfig().has_own_core
    assert VllmConfig(separate_process=True).has_own_core
    assert VllmConfig(tensor_parallel_size=2).has_own_core


def test_arguments_say_all_that_matters(model, tmp_path):
    config = VllmConfig(
        model=str(model), dtype="bfloat16", max_model_len=512, tensor_parallel_size=2, seed=5,
        lora=write_adapter(tmp_path / "tuned", r=24), mm_processor_kwargs={"max_pixels": 1000},
    )  # fmt: skip
    found = engine_arguments(config, on_cpu=False)
    expected = {
        "model": str(model), "trust_remote_code": False, "dtype": "bfloat16", "seed": 5,
        "max_model_len": 512, "tensor_parallel_size": 2, "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": 1}, "mm_processor_kwargs": {"max_pixels": 1000},
        "enable_lora": True, "max_lora_rank": 32, "gpu_memory_utilization": 0.9,
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert "kv_cache_memory_bytes" not in found


def test_a_cpu_gets_a_cache_of_a_size_that_is_said(model):
    plain = VllmConfig(model=str(model))
    assert engine_arguments(plain, on_cpu=True)["kv_cache_memory_bytes"] == 2**30
    half = VllmConfig(model=str(model), kv_cache_gib=0.5)
    for on_cpu in (True, False):
        assert engine_arguments(half, on_cpu)["kv_cache_memory_bytes"] == 2**29


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_vllm_knows_every_argument(model):
    import ast
    from pathlib import Path

    # From its source: importing vLLM takes half a minute.
    spec = find_spec("vllm")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "engine" / "arg_utils.py").read_text())
    (engine,) = [
        n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "EngineArgs"
    ]
    known = {n.target.id for n in engine.body if isinstance(n, ast.AnnAssign)}
    given = engine_arguments(VllmConfig(model=str(model)), on_cpu=True)
    assert set(given) - known == {"chat_template"}


def test_nothing_is_told_to_anybody(model, monkeypatch):
    names = (
        "VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE",
        "VLLM_WORKER_MULTIPROCESSING_METHOD", "VLLM_LOGGING_LEVEL", "TORCH_CPP_LOG_LEVEL",
    )  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, "before")
        monkeypatch.delenv(name)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    import os

    set_environment(VllmConfig(model="a/b", separate_process=True))
    assert "HF_HUB_OFFLINE" not in os.environ
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"
    set_environment(VllmConfig(model=str(model)))
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert os.environ["VLLM_NO_USAGE_STATS"] == os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"


# --- servers

GOOD = "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (GOOD, "http://localhost:8000/v1/models"),
        ("http://localhost:8000", "http://localhost:8000/v1/models"),
        ("http://localhost:8000/", "http://localhost:8000/v1/models"),
        ("https://example.org/a/b/", "https://example.org/a/b/models"),
    ],
)
def test_the_address_of_a_route(url, endpoint):
    check_server(ServerConfig(url=url))
    assert str(ServerConfig(url=url).endpoint("models")) == endpoint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": ""}, r"server\.url: '': give one like"),
        ({"url": "localhost:8000"}, r"server\.url: 'localhost:8000'"),
        ({"url": "file:///etc/passwd"}, r"server\.url"),
        ({"url": "http://[::1"}, r"server\.url"),
        ({"url": "http://me:secret@host/v1"}, r"server\.url: neither user"),
        ({"url": "http://host/v1?key=secret"}, r"server\.url: neither user"),
        ({"concurrency": 0}, r"server\.concurrency: must be at least 1"),
        ({"retries": -1}, r"server\.retries: must be at least 0"),
        ({"backoff_seconds": -1.0}, r"server\.backoff_seconds: must be at least 0"),
        ({"deadline_seconds": 0.0}, r"server\.deadline_seconds: must be above 0"),
        ({"max_wait_seconds": float("nan")}, r"server\.max_wait_seconds: must be above 0"),
        ({"extra": {"model": "x", "top_k": 1}}, r"server\.extra: model: set elsewhere"),
        ({"api_key_env": "WEFT_TEST_KEY"}, r"set the environment variable WEFT_TEST_KEY"),
    ],
)
def test_a_server_that_cannot_be_asked_is_refused(monkeypatch, settings, message):
    monkeypatch.delenv("WEFT_TEST_KEY", raising=False)
    with pytest.raises(RecipeError, match=message) as refused:
        check_server(ServerConfig(**{"url": GOOD, **settings}))
    if "user" in message:
        assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["two words", "line\nX-Other: 1", "schlüssel"])
def test_what_is_no_key_is_refused_and_not_shown(monkeypatch, key):
    monkeypatch.setenv("WEFT_TEST_KEY", key)
    with pytest.raises(RecipeError, match="no key") as refused:
        api_key(ServerConfig(api_key_env="WEFT_TEST_KEY"))
    assert key not in str(refused.value)


def test_a_key_is_taken_without_the_end_of_its_line(monkeypatch):
    monkeypatch.setenv("WEFT_TEST_KEY", "sk-123\n")
    assert api_key(ServerConfig(api_key_env="WEFT_TEST_KEY")) == "sk-123"
