"""Contrastive learning within batches, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.encoder import SentenceEncoder, token_tensors
from training.examples import Example, Tool, batches_of

# What a query is held against, and how much each counts.
_TEXT_SHARES = {"combined": 0.5, "description": 0.25, "name": 0.25}
_SCALE = 20.0
# Tools whose texts the base model hardly tells apart are no wrong answers for each other's queries.
_SAME_COSINE = 0.93
_WARM_UP = 0.1
_TOKENS_AT_ONCE = 4_096


@dataclass(frozen=True)
class TuningSettings:
    """How long and how fast to learn; `batch` and `group` are numbers of examples, see `batches_of`."""

    epochs: int = 6
    learning_rate: float = 5e-5
    batch: int = 256
    group: int = 12
    tuned_share: float = 0.8


def tune(
    encoder: SentenceEncoder,
    tokenizer: Tokenizer,
    tools: Sequence[Tool],
    examples: Sequence[Example],
    settings: TuningSettings,
) -> None:
    """Trains `encoder` in place, averages it with what it was, and prints how it goes."""
    base = {name: value.clone() for name, value in encoder.state_dict().items()}
    used = sorted({example.tool for example in examples})
    print(f"Comparing {len(used)} tools with each other ...", flush=True)
    vectors = dict(zip(used, embed(encoder, tokenizer, [tools[n].texts.combined for n in used]), strict=True))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=settings.learning_rate)
    batches = [
        batch
        for epoch in range(settings.epochs)
        for batch in batches_of(examples, tools, size=settings.batch, group=settings.group, seed=epoch)
    ]
    warm = max(1, int(len(batches) * _WARM_UP))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (len(batches) - step) / max(1, len(batches) - warm))
    )
    started = time.monotonic()
    for number, batch in enumerate(batches, 1):
        loss = _step(encoder, tokenizer, tools, batch, vectors)
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        left = (time.monotonic() - started) / number * (len(batches) - number) / 60
        print(f"step {number} of {len(batches)}: loss {loss:.3f}, about {left:.0f} minutes left", flush=True)
    share = settings.tuned_share
    tuned = encoder.state_dict()
    encoder.load_state_dict({name: share * tuned[name] + (1 - share) * value for name, value in base.items()})


def embed(encoder: SentenceEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> Tensor:
    """Vectors of `texts`, (texts, 384), without gradients."""
    vectors = torch.empty(len(texts), 384)
    with torch.no_grad():
        for places, ids, mask in _chunks(tokenizer, texts):
            vectors[places] = encoder(ids, mask)
    return vectors


def _step(
    encoder: SentenceEncoder,
    tokenizer: Tokenizer,
    tools: Sequence[Tool],
    batch: Sequence[Example],
    base_vectors: dict[int, Tensor],
) -> float:
    """Adds the gradients of a batch, and gives its loss.

    The vectors are made without gradients first, the loss's gradients by the vectors taken, and each chunk of texts run
    again with them: the gradients are those of the whole batch, the memory is that of a chunk.
    """
    texts = [example.query for example in batch]
    for kind in _TEXT_SHARES:
        texts += [getattr(tools[example.tool].texts, kind) for example in batch]
    vectors = embed(encoder, tokenizer, texts).requires_grad_()
    queries, *answers = vectors.split(len(batch))
    known = torch.stack([base_vectors[example.tool] for example in batch])
    # Equal tools have a cosine of 1. The right answer itself stays.
    masked = (known @ known.T > _SAME_COSINE) & ~torch.eye(len(batch), dtype=torch.bool)
    target = torch.arange(len(batch))
    loss = torch.zeros(())
    for share, answer in zip(_TEXT_SHARES.values(), answers, strict=True):
        logits = (_SCALE * queries @ answer.T).masked_fill(masked, -1e4)
        forth, back = (torch.nn.functional.cross_entropy(one, target) for one in (logits, logits.T))
        loss = loss + share * (forth + back) / 2
    loss.backward()
    assert vectors.grad is not None
    for places, ids, mask in _chunks(tokenizer, texts):
        (encoder(ids, mask) * vectors.grad[places]).sum().backward()
    return float(loss.detach())


def _chunks(tokenizer: Tokenizer, texts: Sequence[str]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Places, numbers and masks, the texts of like length together: at most some 4,096 tokens each."""
    lengths = [len(tokenizer.encode(text or "empty").ids) for text in texts]
    chunks: list[list[int]] = []
    for place in sorted(range(len(texts)), key=lengths.__getitem__):
        if not chunks or (len(chunks[-1]) + 1) * lengths[place] > _TOKENS_AT_ONCE:
            chunks.append([])
        chunks[-1].append(place)
    return [(torch.tensor(places), *token_tensors(tokenizer, [texts[n] for n in places])) for places in chunks]
