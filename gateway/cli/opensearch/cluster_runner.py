"""Running a command's work with a client of the cluster that an option or the settings name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import click

from gateway.cli.output import printable
from gateway.cli.runner import ResultT, run_async
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.settings import OpenSearchSettings

cluster_option = click.option(
    "--cluster", metavar="URL", help="Where the cluster is [default: opensearch.urls; as whom, is in the settings, too]"
)


def run_with_cluster(
    settings: OpenSearchSettings, cluster: str | None, work: Callable[[ClusterClient], Awaitable[ResultT]]
) -> ResultT:
    """Run `work` with a client of the cluster at the URL, None for the one in the settings."""
    if cluster is not None:
        settings = replace(settings, urls=(cluster,))

    async def open_and_work() -> ResultT:
        async with ClusterClient(settings) as client:
            return await work(client)

    return run_async(open_and_work)


def report_step(step: str) -> None:
    """Say what was done, beside what the command prints."""
    click.echo(f"  {printable(step)}", err=True)
