"""A trained encoder as a folder that `embedder.type = "onnx"` runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.encoder import SentenceEncoder


def export(encoder: SentenceEncoder, tokenizer: bytes, max_tokens: int, folder: Path) -> None:
    """Writes model.onnx (int8, a scale for each channel), tokenizer.json and modelgate.toml into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {0: torch.export.Dim("texts", min=1, max=4096), 1: torch.export.Dim("tokens", min=2, max=512)}
    with tempfile.TemporaryDirectory() as work:
        whole = Path(work) / "float32.onnx"
        torch.onnx.export(
            encoder.eval(),
            (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)),
            str(whole),
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_shapes=(sizes, sizes),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
        quantize_dynamic(whole, folder / "model.onnx", per_channel=True, weight_type=QuantType.QInt8)
    (folder / "tokenizer.json").write_bytes(tokenizer)
    (folder / "modelgate.toml").write_text(f'pooling = "none"\nmax_tokens = {max_tokens}\n', encoding="utf-8")
