"""`modelgate opensearch unregister`."""

from __future__ import annotations

import sys

import click

from gateway.cli.opensearch.cluster_runner import cluster_option, report_step, run_with_cluster
from gateway.cli.options import json_option
from gateway.cli.output import print_json, printable
from gateway.cli.runner import load_command_settings
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.model_registration import ModelRegistration, RemovalResult


@click.command()
@click.argument("name")
@cluster_option
@click.option("--group", default="modelgate", show_default=True, help="The model group that it is in.")
@json_option
@click.confirmation_option("--yes", prompt="Pipelines and queries that use it fail then; go on?")
@click.pass_context
def unregister(context: click.Context, name: str, cluster: str | None, group: str, *, as_json: bool) -> None:
    """Undeploy and delete the models of that NAME, their connector, and the model group where it is empty then.

    A step that fails does not keep the others from being tried; what is left is said. Settings of the cluster stay.
    """
    settings = load_command_settings(context, log_level="warning")

    async def work(client: ClusterClient) -> RemovalResult:
        return await ModelRegistration(client, report_step).unregister(name, group)

    result = run_with_cluster(settings.opensearch, cluster, work)
    if as_json:
        print_json(result)
    elif not result.remaining:
        click.echo(f"{printable(name)} is taken out of the cluster.")
    if result.remaining:
        left = "; ".join(f"{each.part} {each.id} ({printable(each.reason)})" for each in result.remaining)
        click.echo(f"Left in the cluster: {left}.", err=True)
        sys.exit(1)
