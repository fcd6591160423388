"""What tells the captions of one recaptioner from those of another, and the questions it asks."""

from pathlib import Path

from recaptioner.config import RecaptionConfig, asked_templates
from recaptioner.engines.base import Sampling
from recaptioner.engines.server_config import ServerConfig, check_server
from recaptioner.engines.vllm_config import VllmConfig, check_vllm, model_folder
from recaptioner.ladder import STEP_VERSION, LadderConfig, Question
from recaptioner.prompts import DESCRIBE, prompt_id
from recaptioner.validators import STEP_VERSION as CHECKS_VERSION
from schemas.errors import RecipeError
from schemas.ids import digest
from transforms.scorers.files import file_digest


def identify_recaptioner(config: RecaptionConfig) -> str:
    """Identity of model, prompts, sampling, checks and code; empty where nothing is asked.

    Raises:
        RecipeError: A template, a model or an engine that is not there.
    """
    if not config.is_on:
        return ""
    asked = [prompt_id(name, template) for name, template in asked_templates(config).values()]
    how = (
        config.temperature, config.top_p, config.repetition_penalty, config.seed,
        config.resamples, config.resample_temperature, config.max_side, repr(config.checks),
    )  # fmt: skip
    model = _model_identity(config.engine_config)
    return digest(STEP_VERSION, CHECKS_VERSION, config.mode, *model, *asked, *map(str, how))


def ladder_of(config: RecaptionConfig, recaptioner: str) -> LadderConfig:
    """What is asked, by a recaptioner of this identity."""
    questions = {
        mode: Question(
            name,
            template,
            Sampling(
                template.max_tokens, config.temperature, config.top_p,
                config.repetition_penalty, config.seed,
            ),
        )
        for mode, (name, template) in asked_templates(config).items()
    }  # fmt: skip
    describe = questions.pop(DESCRIBE, None)
    write = next(iter(questions.values()), None)
    return LadderConfig(
        recaptioner, describe, write, config.checks, config.resamples, config.resample_temperature
    )


def _model_identity(config: VllmConfig | ServerConfig) -> list[str]:
    """By content where it lies in a folder; a server's by the name that it goes by there."""
    if isinstance(config, ServerConfig):
        check_server(config)
        if not config.model:
            raise RecipeError(
                "recaption.server.model: name the model as the server does: its captions are "
                "recorded under this name"
            )
        return ["server", config.model, repr(sorted(config.extra.items()))]
    check_vllm(config)
    folder = model_folder(config.model)
    shaping = [
        config.dtype, config.quantization, config.chat_template_kwargs, config.mm_processor_kwargs
    ]  # fmt: skip
    files = [] if folder is None else _files(folder)
    files += _files(Path(config.lora)) if config.lora else []
    files += [Path(config.chat_template)] if config.chat_template else []
    named = [config.model, config.revision] if folder is None else []
    return ["vllm", *named, *map(repr, shaping), *(f"{f.name} {file_digest(f)}" for f in files)]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
