"""Everything a rank needs to know of the data: sources, their plans, the order."""

from dataclasses import dataclass, field
from typing import Any

from schemas.errors import InputError, RecipeError
from schemas.ids import digest
from trainer.config import TrainConfig
from trainer.data.index import NoShardsError, Progress, ShardIndex, open_index
from trainer.data.layout import LAYOUT_VERSION
from trainer.data.lengths import open_lengths
from trainer.data.order import Order
from trainer.data.pack_plan import PackPlan, PlanConfig, open_plan
from trainer.data.shard_files import join
from trainer.data.tokenizer import TextTokenizer


@dataclass(frozen=True)
class CorpusSource:
    """A folder of shards with its plan."""

    name: str
    stream: str
    weight: int
    index: ShardIndex
    plan: PackPlan
    samples: dict[str, Any] = field(default_factory=dict)
    """What `lengths.open_lengths` counted."""


@dataclass(frozen=True)
class Corpus:
    """What is trained on. A pickle of it is small: arrays are mapped again where it is loaded."""

    sources: tuple[CorpusSource, ...]
    """Those with a weight, in the order of the configuration."""
    order: Order
    image_tokens: int
    sequence_length: int
    max_images: int
    tokenizer_source: str
    tokenizer_fingerprint: str
    fingerprint: str
    """A hash of what stands at every position: the same data, tokenizer, plan and order. It does
    not depend on where the data lies."""

    def counts(self) -> dict[str, dict[str, Any]]:
        """By source: samples, what was bad, cut and dropped, packs and how full they are."""
        return {source.name: _counts(source) for source in self.sources}


def _counts(source: CorpusSource) -> dict[str, Any]:
    plan = source.plan
    images = plan.counts["images"] / plan.packs
    return {
        "stream": source.stream,
        "weight": source.weight,
        "shards": len(source.index.shards),
        "left_out_samples": source.index.left_out,
        **source.samples,
        "images_in_samples": source.samples["images"],
        **plan.counts,
        "fill": plan.fill,
        "images_a_pack": images,
        # What no packing could exceed: the limit that the totals reach first.
        "bound": "images" if images / plan.config.max_images > plan.fill else "tokens",
    }


def source_folder(data: str, path: str) -> str:
    """The folder of a source: below `data`, unless it is absolute or a URL."""
    return path if path.startswith("/") or "://" in path else join(data, path)


def open_corpus(
    config: TrainConfig, data: str, image_tokens: int, progress: Progress | None = None
) -> Corpus:
    """Open the shards of a configuration; sources of weight 0 are not opened.

    Indexes, token counts and plans are made where they are not kept yet.

    Args:
        config: The whole configuration.
        data: `--data`: the folder or URL that the sources' paths lie below.
        image_tokens: Places that an image takes.
        progress: Told how far it is; see `progress.ProgressLine`.

    Raises:
        RecipeError: A tokenizer, weights or lengths that cannot be used.
        InputError: Shards are missing, cut short, or not those of their index.
        StageError: A process that counts tokens died.
    """
    wanted = {name: each for name, each in config.data.sources.items() if each.weight}
    if not wanted:
        raise RecipeError("data.sources: no source has a weight above 0")
    tokenizer = TextTokenizer(config.decoder.tokenizer or config.decoder.model)
    plan_config = PlanConfig(
        sequence_length=config.data.sequence_length,
        max_images=config.data.max_images,
        image_tokens=image_tokens,
        bos=tokenizer.bos is not None,
        seed=config.run.seed,
    )
    sources = []
    for name, each in wanted.items():
        stream = each.stream or name
        folder = source_folder(data, each.path or name)

        def tell(message: str, name: str = name) -> None:
            if progress:
                progress(f"{name}: {message}")

        try:
            index = open_index(folder, config.data.split, config.data.cache, tell)
            lengths, samples, kept = open_lengths(
                index, stream, tokenizer, config.data.retries, tell
            )
        except NoShardsError as error:
            raise NoShardsError(
                f"data.sources.{name}: {error}; name its folder by data.sources.{name}.path, or "
                f"leave it out: --set data.sources.{name}.weight=0"
            ) from error
        except InputError as error:
            raise type(error)(f"data.sources.{name}: {error}") from error
        plan = open_plan(kept, lengths, plan_config, f"data.sources.{name}", tell)
        sources.append(CorpusSource(name, stream, each.weight, index, plan, samples))
    order = Order(
        tuple(source.plan for source in sources),
        tuple(source.weight for source in sources),
        config.run.seed,
        config.data.global_batch,
    )
    shape = (LAYOUT_VERSION, image_tokens, plan_config.sequence_length, plan_config.max_images)
    content = [f"{each.stream} {each.index.fingerprint}" for each in sources]
    fingerprint = digest("corpus", *shape, tokenizer.fingerprint, *content, order.fingerprint)
    return Corpus(
        tuple(sources),
        order,
        image_tokens,
        plan_config.sequence_length,
        plan_config.max_images,
        tokenizer.source,
        tokenizer.fingerprint,
        fingerprint,
    )
