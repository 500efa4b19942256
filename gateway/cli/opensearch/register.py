"""`modelgate opensearch register`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.opensearch.cluster_runner import cluster_option, report_step, run_with_cluster
from gateway.cli.opensearch.model_options import ModelOptions, model_options, read_model
from gateway.cli.options import json_option
from gateway.cli.output import print_json, printable
from gateway.cli.runner import load_command_settings
from gateway.errors import InvalidInputError
from gateway.ml_commons.cluster_client import ClusterClient
from gateway.ml_commons.model_registration import ModelRegistration, RegisteredModel
from gateway.ml_commons.needed_settings import NeededSetting, NeededSettings
from gateway.ml_commons.prediction import Prediction, PredictionClient
from gateway.ml_commons.remote_model import RemoteModel
from gateway.ml_commons.usage import next_requests


@click.command()
@model_options
@cluster_option
@click.option("--group", default="modelgate", show_default=True, help="The model group that it is in.")
@click.option("--test", "test_text", default="Say hello.", show_default=True, help="The text that it is tried with.")
@click.option("--apply", is_flag=True, help="Change the settings of the cluster that have to be changed, for good.")
@json_option
@click.pass_context
def register(
    context: click.Context,
    /,
    cluster: str | None,
    group: str,
    test_text: str,
    *,
    apply: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Have a model in the cluster: a connector to its server, registered, deployed and tried.

    What is there under its name already is brought up to date, its key, too.
    """
    settings = load_command_settings(context, log_level="warning")

    async def work(client: ClusterClient) -> tuple[RemoteModel, list[NeededSetting], RegisteredModel, Prediction]:
        model = await read_model(ModelOptions(**options), settings)
        cluster_settings = NeededSettings(client)
        needed = await cluster_settings.check(model)
        _print_settings(needed)
        if apply:
            await cluster_settings.apply(needed)
        elif missing := [each.name for each in needed if each.missing]:
            raise InvalidInputError(
                f"The cluster has to have other settings first ({', '.join(missing)}); --apply sets them as shown, for "
                "good.",
                "apply",
            )
        registered = await ModelRegistration(client, report_step).register(model, group)
        test = PredictionClient(client)
        ask = test.embed if model.kind == "embedding" else test.generate
        return model, needed, registered, await ask(registered.id, test_text)

    model, needed, registered, tried = run_with_cluster(settings.opensearch, cluster, work)
    requests = next_requests(model, registered.id, tried)
    if as_json:
        print_json({"model": registered, "settings": needed, "prediction": tried, "next": requests})
        return
    if model.kind == "generate":
        click.echo(f"It says, after {tried.milliseconds:.0f} ms: {printable(tried.text, 300)}")
    else:
        click.echo(f"It makes vectors of {tried.dimensions} dimensions, that one in {tried.milliseconds:.0f} ms.")
    click.echo(f"Model id: {printable(registered.id)}")
    for request in requests:
        click.echo(f"\n{request.method} {request.path}")
        print_json(request.body)


def _print_settings(settings: list[NeededSetting]) -> None:
    """Beside what the command prints."""
    for each in settings:
        click.echo(f"{'!' if each.missing else ' '} {each.name}: {_shown(each.current)}", err=True)
        if each.missing and isinstance(each.current, list):
            added = [str(value) for value in each.needed if value not in each.current]
            click.echo(f"    has to have {printable(', '.join(added))}, too", err=True)
        elif each.missing:
            click.echo(f"    has to be {_shown(each.needed)}", err=True)
        click.echo(f"    {printable(each.reason)}", err=True)


def _shown(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return f"{len(value)} of them"
    return printable(str(value).lower() if isinstance(value, bool) else str(value))
