"""`modelgate opensearch`: models of a gateway or an Ollama, registered in an OpenSearch cluster for its own users."""

from __future__ import annotations

import click

from gateway.cli.opensearch.register import register
from gateway.cli.opensearch.unregister import unregister


@click.group()
def opensearch() -> None:
    """Register models of this gateway or of an Ollama in an OpenSearch cluster that has ML Commons.

    Whoever searches there uses them by their id, in ingest pipelines, in neural queries and in agents.
    """


opensearch.add_command(register)
opensearch.add_command(unregister)
