"""The chunked loss is plain cross-entropy, in values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from trainer.data.batch import IGNORE
from trainer.model.loss import chunked_loss


def given(packs: int = 3, length: int = 17, vocabulary: int = 29) -> tuple:
    torch.manual_seed(1)
    head = nn.Linear(8, vocabulary, bias=False)
    hidden = torch.randn(packs, length, 8, requires_grad=True)
    labels = torch.randint(0, vocabulary, (packs, length))
    labels[torch.rand(packs, length) < 0.5] = IGNORE
    return head, hidden, labels


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
@pytest.mark.parametrize("is_counted", [True, False])
def test_chunked_loss_is_plain_cross_entropy(chunk: int, is_counted: bool) -> None:
    head, hidden, labels = given()
    valid = int(labels.ne(IGNORE).sum()) if is_counted else -1
    sums = chunked_loss(hidden, labels, head, chunk, valid)
    (sums.loss.sum() + 0.1 * sums.z).backward()
    found = [hidden.grad.clone(), head.weight.grad.clone()]
    hidden.grad = head.weight.grad = None

    logits = head(hidden)
    plain = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="none"
    ).view(labels.shape)
    z = (logits.logsumexp(-1).square() * labels.ne(IGNORE)).sum()
    torch.testing.assert_close(sums.loss, plain.sum(1))
    torch.testing.assert_close(sums.z, z)
    assert sums.tokens.tolist() == labels.ne(IGNORE).sum(1).tolist()
    (plain.sum() + 0.1 * z).backward()
    torch.testing.assert_close(found, [hidden.grad, head.weight.grad])


def test_pack_without_labels_has_zero_loss_and_gradients_of_zeros() -> None:
    head, hidden, labels = given()
    sums = chunked_loss(hidden, labels.fill_(IGNORE), head, 4)
    sums.loss.sum().backward()
    assert sums.loss.tolist() == [0, 0, 0]
    assert sums.tokens.tolist() == [0, 0, 0]
    for each in (hidden, head.weight):
        assert each.grad is not None
        assert not each.grad.any()


def test_hidden_states_of_bfloat16_give_a_loss_of_float32() -> None:
    head, hidden, labels = given()
    head.to(torch.bfloat16)
    sums = chunked_loss(hidden.bfloat16(), labels, lambda rows: head(rows).float(), 4)
    assert sums.loss.dtype == sums.z.dtype == torch.float32
    sums.loss.sum().backward()
    assert head.weight.grad.dtype == torch.bfloat16


def test_no_more_rows_than_a_chunk_pass_the_head_at_once() -> None:
    head, hidden, labels = given()
    seen: list[int] = []

    def watched(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return head(rows)

    chunked_loss(hidden, labels, watched, 5).loss.sum().backward()
    valid = int(labels.ne(IGNORE).sum())
    # Each row twice: in the backward pass its logits are computed again.
    assert max(seen) == 5
    assert sum(seen) == 2 * valid
