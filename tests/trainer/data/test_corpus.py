import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import InputError, RecipeError
from tests.trainer_shards import (
    captioned,
    interleaved,
    tar_bytes,
    text_sample,
    write_own,
    write_tokenizer,
)
from trainer.config import DataConfig, DecoderConfig, RunConfig, SourceConfig, TrainConfig
from trainer.data import lengths as lengths_module
from trainer.data.byte_ranges import ByteRange, ShardReader
from trainer.data.corpus import Corpus, open_corpus
from trainer.data.index import open_index
from trainer.data.layout import element_lengths, lay_out, read_content
from trainer.data.lengths import LengthCounter, count_all, open_lengths, tasks_of
from trainer.data.tar_members import IndexMismatchError, read_members
from trainer.data.tokenizer import TextTokenizer

IMAGE_TOKENS = 4


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def write_shards(folder: Path) -> str:
    """Three streams; the second shard of the captions has a sample that is none."""
    captions = [captioned(f"number {n}" * (n % 3 + 1)) for n in range(20)]
    bad = {"json": b"{}", "jpg": b""}
    write_own(
        folder / "captioned",
        "captioned",
        {"train-000000.tar": captions[:8], "train-000001.tar": [*captions[8:], bad]},
    )
    documents = [interleaved("words " * n, 0, 1, "", "more " * 5, 2) for n in range(1, 30)]
    write_own(folder / "interleaved", "interleaved", {"train-000000.tar": documents})
    texts = [text_sample("a text " * n) for n in range(12)]
    write_own(folder / "text", "text", {"train-000000.tar": texts})
    return str(folder)


def config_of(tokenizer: TextTokenizer, **data: object) -> TrainConfig:
    values = {
        "sources": {
            "captioned": SourceConfig(45),
            "interleaved": SourceConfig(45),
            "text": SourceConfig(10),
        },
        "sequence_length": 64,
        "max_images": 3,
        "global_batch": 4,
    }
    return TrainConfig(
        data=DataConfig(**{**values, **data}),  # type: ignore[arg-type]
        decoder=DecoderConfig(tokenizer=tokenizer.source, config={"model_type": "llama"}),
    )


def opened(tokenizer: TextTokenizer, data: str, **values: object) -> Corpus:
    return open_corpus(config_of(tokenizer, **values), data, IMAGE_TOKENS)


def test_planned_places_are_those_of_the_samples(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    corpus = opened(tokenizer, write_shards(tmp_path))
    for source in corpus.sources:
        reader = ShardReader(source.index.shards, 0)
        ends: dict[int, int] = {}
        for pack in range(source.plan.packs):
            for piece in source.plan.pieces_of(pack):
                where = [int(each[piece.sample]) for each in (
                    source.index.shard, source.index.offset, source.index.size)]  # fmt: skip
                _, members = read_members(reader.read([ByteRange(*where)])[0])
                document = lay_out(
                    read_content(source.stream, members), tokenizer, corpus.image_tokens
                )
                starts = document.image_starts
                inside = starts[(starts >= piece.start) & (starts < piece.stop)]
                assert piece.stop <= len(document.tokens)
                assert piece.images == len(inside)
                assert piece.first_image == np.count_nonzero(starts < piece.start)
                ends[piece.sample] = max(ends.get(piece.sample, 0), piece.stop)
        reader.close()
        counts = corpus.counts()[source.name]
        assert len(ends) == counts["documents"] - counts["dropped_documents"]


def test_counts_add_up(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    data = write_shards(tmp_path)
    counts = opened(tokenizer, data).counts()
    assert counts["captioned"]["bad_samples"] == 1
    assert counts["captioned"]["bad_reasons"] == {"a sample without a .txt": 1}
    (listed,) = counts["captioned"]["bad_listed"]
    assert "train-000001.tar 00000014: a sample without a .txt" in listed
    assert counts["text"]["empty_samples"] == 1
    for each in counts.values():
        assert each["samples"] == each["documents"] + each["bad_samples"] + each["empty_samples"]
        assert each["images_in_samples"] == each["images"] + each["dropped_images"]
    assert {each["bound"] for each in counts.values()} == {"tokens"}
    counts = opened(tokenizer, data, sequence_length=600).counts()
    assert counts["captioned"]["bound"] == "images"


def test_pickle_is_small_and_the_same(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    corpus = opened(tokenizer, write_shards(tmp_path))
    data = pickle.dumps(corpus)
    assert len(data) < 12_000
    copy = pickle.loads(data)
    for step in range(5):
        assert copy.order.step(step, 2, 1) == corpus.order.step(step, 2, 1)
    assert copy.sources[1].plan.pieces_of(2) == corpus.sources[1].plan.pieces_of(2)


def test_second_opening_counts_nothing(
    tmp_path: Path, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_shards(tmp_path)
    first = opened(tokenizer, data)
    monkeypatch.setattr(LengthCounter, "count", None)
    monkeypatch.setattr("trainer.data.pack_plan.make_plan", None)
    assert opened(tokenizer, data).fingerprint == first.fingerprint


def test_fingerprint_is_of_data_and_configuration(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    data = write_shards(tmp_path / "data")
    base = opened(tokenizer, data).fingerprint
    shutil.copytree(data, tmp_path / "copy", ignore=shutil.ignore_patterns(".trainer"))
    assert opened(tokenizer, str(tmp_path / "copy")).fingerprint == base
    write_own(tmp_path / "copy" / "text", "text", {"train-000000.tar": [text_sample("other")]})
    found = [
        base,
        opened(tokenizer, str(tmp_path / "copy")).fingerprint,
        opened(tokenizer, data, sequence_length=65).fingerprint,
        opened(tokenizer, data, max_images=4).fingerprint,
        opened(tokenizer, data, global_batch=8).fingerprint,
        open_corpus(config_of(tokenizer), data, IMAGE_TOKENS + 1).fingerprint,
        open_corpus(
            replace(config_of(tokenizer), run=RunConfig(seed=1)), data, IMAGE_TOKENS
        ).fingerprint,
        opened(TextTokenizer(write_tokenizer(tmp_path / "t", bos=False)), data).fingerprint,
    ]
    assert len(set(found)) == len(found)


def test_same_texts_in_other_bytes_are_other_data(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    """Images shape what is learnt as texts do, though no plan depends on them."""
    only = {"captioned": SourceConfig(1)}
    found = []
    for name in ("a", "b"):
        samples = [captioned("a cat", image=name.encode() * 9)]
        write_own(tmp_path / name / "captioned", "captioned", {"train-000000.tar": samples})
        found.append(opened(tokenizer, str(tmp_path / name), sources=only))
    assert found[0].sources[0].plan.fingerprint == found[1].sources[0].plan.fingerprint
    assert found[0].fingerprint != found[1].fingerprint


def test_source_of_weight_0_is_not_opened(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    data = write_shards(tmp_path)
    shutil.rmtree(tmp_path / "text")
    with pytest.raises(InputError, match=r"data.sources.text: .*--set data.sources.text.weight=0"):
        opened(tokenizer, data)
    sources = {"captioned": SourceConfig(1), "text": SourceConfig(0)}
    corpus = opened(tokenizer, data, sources=sources)
    assert [source.name for source in corpus.sources] == ["captioned"]
    with pytest.raises(RecipeError, match="no source has a weight"):
        opened(tokenizer, data, sources={"text": SourceConfig(0)})


def test_sources_of_one_stream_by_path(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    data = write_shards(tmp_path / "data")
    pairs = [("00001.jpg", b"x"), ("00001.txt", b"a dog"), ("00001.json", b"{}")]
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "00000.tar").write_bytes(tar_bytes(pairs)[0])
    sources = {
        "own": SourceConfig(2, stream="captioned", path="captioned"),
        "pairs": SourceConfig(1, stream="captioned", path=str(tmp_path / "pairs")),
    }
    corpus = opened(tokenizer, data, sources=sources)
    assert corpus.order.table.tolist() == [0, 1, 0]
    assert [len(source.index) for source in corpus.sources] == [21, 1]


def test_errors_name_the_source(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    data = write_shards(tmp_path)
    shard = tmp_path / "interleaved" / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"data.sources.interleaved: .*train-000000.tar: .* cut"):
        opened(tokenizer, data)


def test_shard_of_another_index_is_refused(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    samples = [text_sample("a" * 600), text_sample("b")]
    folder = write_own(tmp_path, "text", {"train-000000.tar": samples})
    shard = tmp_path / "train-000000.tar"
    data = shard.read_bytes()
    other = tar_bytes([(f"{n}.txt", b"c" * 200) for n in range(len(data) // 1024 + 1)])[0]
    shard.write_bytes(other[: len(data)])
    index = open_index(folder, "train")
    with pytest.raises(IndexMismatchError, match=r"train-000000.tar: byte \d+: .*different runs"):
        open_lengths(index, "text", tokenizer, 0)


def test_processes_count_what_one_counts(
    tmp_path: Path, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lengths_module, "TASK_SAMPLES", 5)
    monkeypatch.setattr(lengths_module, "READ_BYTES", 100)
    index = open_index(str(Path(write_shards(tmp_path)) / "captioned"), "train")
    counter = LengthCounter(index, "captioned", tokenizer, 0)
    tasks = tasks_of(index)
    assert [task.last - task.first for task in tasks] == [5, 5, 5, 5, 1]
    told: list[str] = []
    alone = list(count_all(counter, tasks, told.append))
    assert told[-1] == "tokens: 21 of 21 samples counted"
    monkeypatch.setattr(lengths_module, "SAMPLES_A_PROCESS", 1)
    together = list(count_all(counter, tasks))
    for one, other in zip(alone, together, strict=True):
        assert one.elements.tolist() == other.elements.tolist()
        assert one.counts.tolist() == other.counts.tolist()
        assert one.bad == other.bad


def test_lengths_are_those_of_each_sample(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    index = open_index(str(Path(write_shards(tmp_path)) / "interleaved"), "train")
    lengths, facts, _ = open_lengths(index, "interleaved", tokenizer, 0)
    assert facts["images"] == 3 * len(index)
    for sample, n in enumerate(range(1, 30)):
        content = read_content("interleaved", interleaved("words " * n, 0, 1, "", "more " * 5, 2))
        first, last = lengths.element_start[sample : sample + 2]
        assert lengths.elements[first:last].tolist() == element_lengths(content, tokenizer)


def test_images_are_not_read(
    tmp_path: Path, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = [captioned("a cat", image=bytes(100_000)) for _ in range(3)]
    folder = write_own(tmp_path, "captioned", {"train-000000.tar": samples})
    read: list[int] = []

    class Counting(ShardReader):
        def read(self, ranges):  # type: ignore[no-untyped-def]
            read.extend(each.size for each in ranges)
            return super().read(ranges)

    monkeypatch.setattr(lengths_module, "ShardReader", Counting)
    open_lengths(open_index(folder, "train"), "captioned", tokenizer, 0)
    assert read == [1024] * 6  # .json and .txt: a header and a block each


def test_endless_text_is_left_out_unread(
    tmp_path: Path, tokenizer: TextTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lengths_module, "MAX_CHARACTERS", 100)
    samples = [text_sample("a" * 401), text_sample("b")]
    index = open_index(write_own(tmp_path, "text", {"train-000000.tar": samples}), "train")
    lengths, facts, _ = open_lengths(index, "text", tokenizer, 0)
    assert facts["bad_reasons"] == {"a .txt of more than 400 bytes": 1}
    assert lengths.elements.tolist() == [1]
