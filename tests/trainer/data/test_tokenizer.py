import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from tests.trainer_shards import SPECIAL, write_tokenizer
from trainer.data.layout import clean_text
from trainer.data.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> TextTokenizer:
    return TextTokenizer(write_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def test_special_ids_are_those_of_the_tokenizer(tokenizer: TextTokenizer) -> None:
    assert (tokenizer.bos, tokenizer.eos, tokenizer.pad) == (1, 2, 0)
    assert tokenizer.vocabulary == 256 + len(SPECIAL)


def test_text_gets_no_special_tokens(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode("a cat")) == 5
    assert tokenizer.decode(tokenizer.encode("a cat, 猫")) == "a cat, 猫"
    assert tokenizer.encode("") == []


@pytest.mark.parametrize("token", SPECIAL)
def test_text_that_spells_a_special_token_does_not_become_it(
    tokenizer: TextTokenizer, token: str
) -> None:
    for text in (token, f"see {token} here", token * 3):
        ids = tokenizer.encode(text)
        assert min(ids) >= len(SPECIAL)
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("token", SPECIAL[1:])
def test_word_of_the_model_that_is_special_is_spelled(tmp_path: Path, token: str) -> None:
    from tokenizers import models

    words = [*SPECIAL, *"<>/|spadimgeontx_", "<unk>"]
    model = models.Unigram([(word, -1.0 if word in SPECIAL else -2.0) for word in words], unk_id=22)
    tokenizer = TextTokenizer(write_tokenizer(tmp_path, model=model, unk_token="<unk>"))
    ids = tokenizer.encode(f"on{token}on")
    assert min(ids) >= len(SPECIAL)
    assert tokenizer.encode("on") == [words.index("o"), words.index("n")]


def test_fingerprint_is_of_the_content(tmp_path: Path, tokenizer: TextTokenizer) -> None:
    again = TextTokenizer(write_tokenizer(tmp_path / "again"))
    other = TextTokenizer(write_tokenizer(tmp_path / "other", bos=False))
    assert again.fingerprint == tokenizer.fingerprint != other.fingerprint
    assert other.bos is None


def test_copy_of_a_pickle_encodes_alike(tokenizer: TextTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("<s> a") == tokenizer.encode("<s> a")
    assert copy.fingerprint == tokenizer.fingerprint


@settings(deadline=None, max_examples=50)
@given(texts=st.lists(st.text() | st.sampled_from(SPECIAL), max_size=4))
def test_batch_is_each_text_alone(tokenizer: TextTokenizer, texts: list[str]) -> None:
    texts = [clean_text(text) for text in texts]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"decoder.tokenizer: .*none.* is no tokenizer"):
        TextTokenizer(str(tmp_path / "none"))


def test_tokenizer_without_end_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no end token"):
        TextTokenizer(write_tokenizer(tmp_path, eos_token=None))
