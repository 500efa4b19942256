"""`modelgate bench embedder`: what is measured, and how it is said."""

from __future__ import annotations

import json
import re

from tests.cli.process import CommandLine
from tests.doubles.embedding_faults import Fault
from tests.doubles.embedding_server import EmbeddingServer

FEW = ("bench", "embedder", "--queries", "5", "--texts", "10")


async def test_it_measures_the_built_in_model_as_a_table_and_as_json(modelgate: CommandLine) -> None:
    table = await modelgate.succeed(*FEW)
    assert table.startswith("builtin with ")
    assert re.search(r"a query, p95 +[\d.]+ ms +< 50 ms +(met|missed)", table)
    assert re.search(r"^10 +10 ", table, re.MULTILINE)
    measured = json.loads(await modelgate.succeed(*FEW, "--json"))
    assert measured["space"]["provider"] == "builtin"
    assert measured["queries"]["count"] == 5
    assert measured["queries"]["p50_ms"] <= measured["queries"]["p95_ms"] <= measured["queries"]["p99_ms"]
    assert [each["batch"] for each in measured["batches"]] == [1, 8, 32, 128]
    assert [each["embedded"] for each in measured["batches"]] == [1, 8, 32, 128]
    assert measured["throughput"]["tokens_per_second"] > measured["throughput"]["texts_per_second"] > 0
    assert (measured["cache"]["requests"], measured["cache"]["hits"]) == (80, 60)
    assert measured["similarity"]["like_mean"] > measured["similarity"]["unlike_mean"]
    assert [goal["target"] for goal in measured["targets"]] == ["< 50 ms", "> 100", "> 40%", "> 0.7", "< 0.3"]


async def test_a_target_is_met_or_missed_by_what_was_measured(modelgate: CommandLine) -> None:
    with EmbeddingServer() as ollama:
        ollama.seconds_a_request = 0.06
        result = await modelgate(*FEW, "--json", MODELGATE_EMBEDDER_TYPE="ollama", MODELGATE_EMBEDDER_URL=ollama.url)
    measured = json.loads(result.out)
    by_measure = {goal["measure"]: goal["met"] for goal in measured["targets"]}
    assert by_measure["a query, p95"] is False
    assert by_measure["cache hits, each text 4 times"] is True
    assert measured["space"]["model"] == "nomic-embed-text"
    # One for the dimensions, one to load, five queries, and each text of the mix once.
    assert sum(text.startswith("search_query: ") for text in ollama.texts) == 1 + 5 + 20


async def test_an_embedder_that_is_down_or_fails_is_one_sentence(modelgate: CommandLine) -> None:
    with EmbeddingServer() as ollama:
        ollama.fault = Fault.model_missing()
        environ = {"MODELGATE_EMBEDDER_TYPE": "ollama", "MODELGATE_EMBEDDER_URL": ollama.url}
        missing = await modelgate(*FEW, **environ)
    down = await modelgate(*FEW, **environ)
    assert (missing.code, down.code) == (1, 1)
    assert "does not have the model nomic-embed-text" in missing.err
    assert "does not answer" in down.err
    assert missing.out == down.out == ""
