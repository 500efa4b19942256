from __future__ import annotations

import pytest

from gateway.embedding.model_input_format import input_format_for

PASSAGES = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("model", "document", "query"),
    [
        ("nomic-embed-text", "search_document: ", "search_query: "),
        ("nomic-embed-text:latest", "search_document: ", "search_query: "),
        ("nomic-embed-text:v1.5", "search_document: ", "search_query: "),
        ("text-embedding-nomic-embed-text-v1.5@q4_k_m", "search_document: ", "search_query: "),
        ("mxbai-embed-large", "", PASSAGES),
        ("mixedbread-ai/mxbai-embed-large-v1", "", PASSAGES),
        ("snowflake-arctic-embed:33m", "", PASSAGES),
        ("snowflake-arctic-embed2", "", "query: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "", "query: "),
        ("intfloat/e5-base-v2", "passage: ", "query: "),
        ("intfloat/multilingual-e5-small", "passage: ", "query: "),
        ("BAAI/bge-small-en-v1.5", "", PASSAGES),
        ("bge-large", "", PASSAGES),
        ("bge-m3", "", ""),
        ("bge-large-zh", "", ""),
        ("text-embedding-3-small", "", ""),
        ("all-minilm", "", ""),
    ],
)
def test_a_model_gets_the_prefixes_it_was_trained_with(model: str, document: str, query: str) -> None:
    traits = input_format_for(model)
    assert (traits.document_prefix, traits.query_prefix) == (document, query)


def test_an_instructed_model_gets_its_instruction_before_the_query_alone() -> None:
    traits = input_format_for("intfloat/multilingual-e5-large-instruct")
    assert traits.document_prefix == ""
    assert traits.query_prefix.startswith("Instruct: ")
    assert traits.query_prefix.endswith("Query: ")


def test_a_model_that_reads_little_is_given_less() -> None:
    assert input_format_for("all-minilm").max_tokens < input_format_for("text-embedding-3-small").max_tokens
