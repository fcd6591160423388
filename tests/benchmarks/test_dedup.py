import pytest

from benchmarks.dedup_sides import BATCH, HASHES, SIDES, measure, ours, word_shingles
from benchmarks.dedup_signatures import make_rows, targets_of
from benchmarks.dedup_texts import WORDS, cut, generate_documents
from transforms.minhash import MinHashConfig, shingles


def test_generated_documents_have_their_words_and_stay() -> None:
    documents = generate_documents(3)
    assert [len(text.split()) for text in documents] == [WORDS] * 3
    assert documents == generate_documents(4)[:3]
    assert all(text.isascii() for text in documents)


@pytest.mark.parametrize("count", [0, 1, WORDS - 1, WORDS, WORDS + 1, 2 * WORDS])
def test_texts_are_cut_into_documents_of_one_length(count: int) -> None:
    documents = cut("\n".join(f"w{number}" for number in range(count)) + " ")
    assert [len(text.split()) for text in documents] == [WORDS] * (count // WORDS)
    assert "\n".join(documents).split() == [f"w{n}" for n in range(count // WORDS * WORDS)]


@pytest.mark.parametrize("text", ["a b", "a b c d e", "a b c d e f g"])
def test_everybody_has_the_shingles_of_ours(text: str) -> None:
    assert word_shingles(text) == shingles(text, MinHashConfig())


@pytest.mark.parametrize(
    "side", [name for name in SIDES if name.startswith(("ours", "datasketch"))]
)
def test_sides_give_a_signature_a_document(side: str) -> None:
    make, _ = SIDES[side]
    assert len(make()(generate_documents(3))) == 3 * HASHES * 4


def test_measure_counts_documents_until_the_time_is_over() -> None:
    found = measure(ours(), generate_documents(BATCH + 1), seconds=0.05)
    assert found["documents"] >= BATCH
    assert found["wall"] >= 0.05


def test_rows_set_ours_beside_every_peer() -> None:
    runs = {
        "ours": [{"documents": 100, "cpu": cpu} for cpu in (1.0, 2.0, 4.0)],
        "ours, characters": [{"documents": 30, "cpu": 1.0}],
        "rensa, in batches": [{"documents": 10, "cpu": 1.0}],
    }
    beside, alone = make_rows("signatures, x", runs)
    assert (beside.ours, beside.peer_name, beside.ratio) == (50, "rensa, in batches", 5)
    assert (alone.what, alone.ours, alone.peer) == ("signatures, x: ours, characters", 30, None)
    assert targets_of(beside) == 0.8
    assert targets_of(alone) is None
