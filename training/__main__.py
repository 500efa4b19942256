"""`python -m training`: tune, average, export, measure."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from gateway.embedding.local.onnx_model import load_onnx_model
from training.encoder import load_base, open_tokenizer
from training.examples import Example, Tool, load_examples
from training.export import export
from training.measurement import LabelledQueries, load_labelled, print_table
from training.tuning import TuningSettings, embed, tune

_MAX_TOKENS = 192
# Examples, and the settings of a run that shows within minutes whether all parts work.
_SHORT_EXAMPLES, _SHORT = 480, TuningSettings(epochs=1, batch=48)


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(0)
    tools, examples = load_examples(arguments.tools, arguments.queries)
    held = _held_out(tools, examples) if arguments.held_out else []
    if arguments.held_out:
        examples = [example for example in examples if not tools[example.tool].held]
    settings = TuningSettings(epochs=arguments.epochs)
    if arguments.short:
        examples, settings = examples[:_SHORT_EXAMPLES], _SHORT
    print(f"{len(examples)} queries for {len({example.tool for example in examples})} tools", flush=True)

    encoder, tokenizer_json = load_base()
    base, _ = load_base()
    tokenizer = open_tokenizer(tokenizer_json, _MAX_TOKENS)
    tune(encoder, tokenizer, tools, examples, settings)
    export(encoder, tokenizer_json, _MAX_TOKENS, arguments.out)
    print(f"The model is in {arguments.out}: set embedder.type to onnx and embedder.path to that folder.", flush=True)

    exported = load_onnx_model(arguments.out)
    sets = [*held, *(load_labelled(path) for path in arguments.sets)]
    if sets:
        models = {
            "base": lambda texts: embed(base, tokenizer, texts).numpy(),
            "tuned": lambda texts: embed(encoder, tokenizer, texts).numpy(),
            "tuned, int8": exported.embed,
        }
        print_table(models, sets)


def _held_out(tools: list[Tool], examples: list[Example]) -> list[LabelledQueries]:
    """The queries of the servers that are kept out, against all tools."""
    kept = [example for example in examples if tools[example.tool].held]
    documents = [tool.texts.combined for tool in tools]
    return [LabelledQueries("held out", documents, [one.query for one in kept], [{one.tool} for one in kept])]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--tools", type=Path, required=True, help="JSON Lines of tools, .gz or not")
    parser.add_argument("--queries", type=Path, required=True, help="JSON Lines of queries for them")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="labelled sets to measure on")
    parser.add_argument("--epochs", type=int, default=TuningSettings.epochs)
    parser.add_argument("--held-out", action="store_true", help="leave out the servers marked so, and measure on them")
    parser.add_argument("--short", action="store_true", help="minutes instead of hours, to see that all parts work")
    return parser.parse_args()


if __name__ == "__main__":
    main()
