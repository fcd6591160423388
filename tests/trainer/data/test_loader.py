import dataclasses
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from schemas.errors import RecipeError
from tests.trainer.data import small_corpus
from tests.trainer.data.small_corpus import Letters, SmallCorpus, StuckOrder, captioned, places
from trainer.config import DataConfig
from trainer.data import loader
from trainer.data.batch import MicroBatch
from trainer.data.byte_ranges import ShardReadError, TruncatedShardError
from trainer.data.loader import LoaderError, TooManyFailuresError, make_loader
from trainer.data.pictures import PictureSpec
from trainer.data.tar_members import IndexMismatchError

SPEC = PictureSpec(16)
TENSORS = ("tokens", "labels", "positions", "is_image", "pictures", "packs", "sources")


def config(**values: Any) -> DataConfig:
    plain: dict[str, Any] = {"global_batch": 8, "micro_batch": 2, "workers": 0, "retries": 0}
    return DataConfig(**{**plain, **values})


def load(
    corpus: Any, first: int = 0, last: int = 3, rank: int = 0, ranks: int = 1, **values: Any
) -> list[MicroBatch]:
    made = make_loader(
        corpus, SPEC, config(**values), seed=0, rank=rank, ranks=ranks, first_step=first,
        last_step=last, tokenizer=Letters(),  # type: ignore[arg-type]
    )  # fmt: skip
    return list(made)


def same(a: list[MicroBatch], b: list[MicroBatch]) -> bool:
    return len(a) == len(b) and all(
        (x.step, x.micro, x.bad, x.read_bytes) == (y.step, y.micro, y.bad, y.read_bytes)
        and all(torch.equal(getattr(x, name), getattr(y, name)) for name in TENSORS)
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def corpus(tmp_path: Path) -> SmallCorpus:
    return small_corpus.small_corpus(tmp_path)


def replaced(corpus: SmallCorpus, tmp_path: Path, samples: list[bytes]) -> SmallCorpus:
    """The corpus with other samples in its captioned stream, under the same plan."""
    source = corpus.sources[0]
    written = small_corpus.write_source(tmp_path / "other", "captioned", samples, source.plan.rows)
    return dataclasses.replace(corpus, sources=(written, corpus.sources[1]))


def captions(corpus: SmallCorpus) -> list[str]:
    lengths = {p.sample: p.stop for pack in corpus.sources[0].plan.rows for p in pack}
    return ["x" * (lengths[number] - places("")) for number in range(12)]


def test_batches_come_in_order_and_have_their_shapes(corpus: SmallCorpus) -> None:
    batches = load(corpus)
    assert [(b.step, b.micro) for b in batches] == [(s, m) for s in range(3) for m in range(4)]
    assert [n for b in batches for n in b.packs.tolist()] == list(range(24))
    for batch in batches:
        assert batch.tokens.shape == batch.labels.shape == (2, small_corpus.LENGTH)
        assert batch.pictures.shape[1:] == (3, 16, 16)
        assert batch.pictures.dtype == torch.uint8
        assert batch.is_image.sum() == len(batch.pictures) * small_corpus.IMAGE_TOKENS
        assert batch.read_bytes > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_number_of_workers_changes_nothing(corpus: SmallCorpus, workers: int) -> None:
    assert same(load(corpus), load(corpus, workers=workers, read_ahead=2))


def test_every_first_step_continues_the_straight_run(corpus: SmallCorpus) -> None:
    straight = load(corpus, last=5)
    for first in range(6):
        assert same(load(corpus, first, 5), straight[4 * first :])


def test_resume_with_workers_continues_the_straight_run(corpus: SmallCorpus) -> None:
    assert same(load(corpus, 1, 5, workers=2), load(corpus, last=5)[4:])


def test_ranks_share_the_packs_of_a_step(corpus: SmallCorpus) -> None:
    alone = sorted(n for b in load(corpus, 1, 2) for n in b.packs.tolist())
    shared = [load(corpus, 1, 2, rank, 4, workers=0) for rank in range(4)]
    assert [len(batches) for batches in shared] == [1, 1, 1, 1]
    assert sorted(n for batches in shared for b in batches for n in b.packs.tolist()) == alone


def test_more_workers_than_batches(corpus: SmallCorpus) -> None:
    assert same(load(corpus, 0, 1, workers=3, micro_batch=8), load(corpus, 0, 1, micro_batch=8))


def test_loader_leaves_the_random_numbers_of_the_model_alone(corpus: SmallCorpus) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load(corpus, last=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_second_iteration_begins_at_the_first_step_again(corpus: SmallCorpus) -> None:
    made = make_loader(
        corpus, SPEC, config(), seed=0, rank=0, ranks=1, first_step=1, last_step=2,  # type: ignore[arg-type]
        tokenizer=Letters(),  # type: ignore[arg-type]
    )  # fmt: skip
    assert same(list(made), list(made))


def test_global_batch_that_cannot_be_divided_is_refused(corpus: SmallCorpus) -> None:
    with pytest.raises(RecipeError, match=r"data\.global_batch: 8 .* 3 ranks"):
        load(corpus, ranks=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_missing_shard_ends_the_run_with_its_name(corpus: SmallCorpus, workers: int) -> None:
    shard = corpus.sources[0].index.shards[1]
    os.remove(shard)
    with pytest.raises(ShardReadError, match=rf"^{shard}: .*tried once: FileNotFoundError"):
        load(corpus, workers=workers)


def test_truncated_shard_ends_the_run_with_its_name(corpus: SmallCorpus) -> None:
    shard = corpus.sources[0].index.shards[0]
    os.truncate(shard, 3000)
    with pytest.raises(TruncatedShardError, match=rf"^{shard}: ends before byte .*prepare"):
        load(corpus)


def test_wrong_index_ends_the_run(corpus: SmallCorpus) -> None:
    corpus.sources[0].index.offset[5] += 512
    with pytest.raises(IndexMismatchError, match=r"sample 5 at byte .* prepare"):
        load(corpus)


def test_another_text_than_was_planned_ends_the_run(corpus: SmallCorpus, tmp_path: Path) -> None:
    texts = captions(corpus)
    samples = [captioned(n, n, text[1:] if n == 4 else text) for n, text in enumerate(texts)]
    with pytest.raises(IndexMismatchError, match=r"sample 4 .*places"):
        load(replaced(corpus, tmp_path, samples))


def test_undecodable_image_becomes_a_filler_of_the_same_size(
    corpus: SmallCorpus, tmp_path: Path
) -> None:
    texts = captions(corpus)
    sound = [captioned(n, n, text) for n, text in enumerate(texts)]
    hurt = list(sound)
    hurt[4] = captioned(4, 4, texts[4], b"\xff\xd8\xff no picture")
    a = load(replaced(corpus, tmp_path / "a", sound), last=1)
    b = load(replaced(corpus, tmp_path / "b", hurt), last=1)
    assert sum(len(batch.bad) for batch in a) == 0
    (bad,) = [each for batch in b for each in batch.bad]
    assert (bad.source, bad.key, bad.error) == ("captioned", "00000004", "ImageDecodeError")
    assert bad.shard.endswith("train-000000.tar")
    differ = 0
    for x, y in zip(a, b, strict=True):
        assert x.pictures.shape == y.pictures.shape
        assert torch.equal(x.positions, y.positions)
        assert y.is_image.sum() == x.is_image.sum()
        differ += int((x.labels != y.labels).sum())
        assert torch.equal(x.labels, y.labels) or bool((y.pictures == 128).flatten(1).all(1).any())
    assert differ == len(texts[4]) + 1


def broken_between(corpus: SmallCorpus, tmp_path: Path) -> SmallCorpus:
    texts = captions(corpus)
    data = [None if n in (2, 7) else b"no picture" for n in range(12)]
    samples = [captioned(n, n, text, data[n]) for n, text in enumerate(texts)]
    return replaced(corpus, tmp_path, samples)


def test_too_many_failures_in_a_row_end_the_run(corpus: SmallCorpus, tmp_path: Path) -> None:
    hurt = broken_between(corpus, tmp_path)
    assert sum(len(batch.bad) for batch in load(hurt, last=2)) > 10
    for workers in (0, 2):
        with pytest.raises(TooManyFailuresError, match=r"4 samples in a row.*train-00000.*NotAn"):
            load(hurt, last=2, max_failures=4, workers=workers)


def endless(corpus: SmallCorpus) -> Iterator[MicroBatch]:
    made = make_loader(
        corpus, SPEC, config(workers=1), seed=0, rank=0, ranks=1, first_step=0,  # type: ignore[arg-type]
        last_step=100_000, tokenizer=Letters(),  # type: ignore[arg-type]
    )  # fmt: skip
    return iter(made)


def test_killed_worker_ends_the_run_with_a_message(corpus: SmallCorpus) -> None:
    others = {child.pid for child in torch.multiprocessing.active_children()}
    batches = endless(corpus)
    next(batches)
    (worker,) = {child.pid for child in torch.multiprocessing.active_children()} - others
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(LoaderError, match="worker of the loader died"):
        for _ in batches:
            pass


def test_hung_worker_ends_the_run_with_a_message(
    corpus: SmallCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "WORKER_SECONDS", 3)
    monkeypatch.setattr(loader, "LOOK_SECONDS", 1)
    order = StuckOrder(corpus.order.packs, corpus.order.global_batch)
    others = {child.pid for child in torch.multiprocessing.active_children()}
    batches = endless(dataclasses.replace(corpus, order=order))
    with pytest.raises(LoaderError, match="gave nothing for 3 s"):
        for _ in batches:
            pass
    for child in torch.multiprocessing.active_children():
        if child.pid not in others:
            child.kill()


def test_worker_killed_while_it_is_waited_for_is_noticed(
    corpus: SmallCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing that it gave is left to be read, whose connection would be found broken.
    monkeypatch.setattr(loader, "LOOK_SECONDS", 1)
    order = StuckOrder(corpus.order.packs, corpus.order.global_batch)
    others = {child.pid for child in torch.multiprocessing.active_children()}
    batches = endless(dataclasses.replace(corpus, order=order))
    reader = threading.Thread(target=kill_in, args=(2, others))
    reader.start()
    with pytest.raises(LoaderError, match=r"worker of the loader died.*exited unexpectedly"):
        for _ in batches:
            pass
    reader.join()


def kill_in(seconds: float, others: set[int | None]) -> None:
    time.sleep(seconds)
    for child in torch.multiprocessing.active_children():
        if child.pid not in others:
            child.kill()
