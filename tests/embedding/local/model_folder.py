"""Folders with a model in them, made of the one that the package carries."""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.embedding.local.builtin import model_folder


def copy_model(folder: Path, options: str | None = 'pooling = "none"\n') -> Path:
    """`folder` with the package's encoder and with `options` as its modelgate.toml; none where None."""
    folder.mkdir(parents=True)
    for file in ("model.onnx", "tokenizer.json"):
        shutil.copy(model_folder() / file, folder / file)
    if options is not None:
        (folder / "modelgate.toml").write_text(options)
    return folder
