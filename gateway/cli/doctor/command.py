"""`modelgate doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from gateway.access.tenants import Tenant, list_tenants
from gateway.cli.doctor.check_result import CheckResult
from gateway.cli.doctor.machine import check_clock, check_data_folder, check_port, check_programs
from gateway.cli.doctor.parts import (
    check_database,
    check_embedder,
    check_search_cluster,
    check_servers,
    commands_in_use,
)
from gateway.cli.options import json_option
from gateway.cli.output import print_json, printable
from gateway.cli.runner import POOL_SIZE, load_command_settings, run_async
from gateway.database.pool import Database, open_database
from gateway.errors import EmbeddingError, ModelGateError, SettingsError
from gateway.settings import Settings

_SIGNS = {"ok": ("ok", "green"), "warning": ("note", "yellow"), "problem": ("BAD", "red")}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Look at all that the gateway needs, and say what to do where something is wrong.

    Ends with exit code 1 where there is a problem.
    """
    settings = load_command_settings(context, log_level="error")
    findings = [_check_settings(settings)]
    findings += check_data_folder(settings)
    findings.append(check_port(settings))
    findings += run_async(lambda: _check_parts(settings))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if any(finding.state == "problem" for finding in findings):
        context.exit(1)


def _check_settings(settings: Settings) -> CheckResult:
    from gateway.search.learning.example_weight import example_rules

    try:
        # Each by itself was judged when they were read.
        example_rules(settings)
    except SettingsError as error:
        return CheckResult("settings", "problem", error.message, "", error.error_code)
    return CheckResult("settings", "ok", "They can be used; modelgate config show prints them.")


async def _check_parts(settings: Settings) -> list[CheckResult]:
    from gateway.catalog.servers.server_record import read_server_record
    from gateway.embedding.embedder_factory import choose_embedder

    findings: list[CheckResult] = []
    try:
        embedder = await choose_embedder(settings.embedder)
        try:
            findings.append(await check_embedder(embedder))
        finally:
            await embedder.aclose()
    except ModelGateError as error:
        step = f"{error.next_step[:1].upper()}{error.next_step[1:]}." if isinstance(error, EmbeddingError) else ""
        findings.append(CheckResult("embedder", "problem", error.message, step, error.error_code))
    try:
        async with open_database(settings, size=POOL_SIZE) as database:
            findings.append(await check_database(database, embedded=not settings.database.url))
            findings.append(check_clock(await database.fetchval("database_time")))
            if settings.search.index == "opensearch":
                findings.append(await _check_search_cluster(database, settings))
            tenants: list[Tenant] = await list_tenants(database)
            servers = []
            for tenant in tenants:
                servers += [read_server_record(row) for row in await database.fetch("list_servers", tenant.id, None)]
    except ModelGateError as error:
        findings.append(CheckResult("database", "problem", error.message, "", error.error_code))
        return [*findings, *check_programs({})]
    return [*findings, *check_programs(commands_in_use(servers)), *check_servers(servers)]


async def _check_search_cluster(database: Database, settings: Settings) -> CheckResult:
    from gateway.search.index.opensearch.index_overview import open_overview

    try:
        async with open_overview(database, settings) as overview:
            return check_search_cluster(await overview.view())
    except SettingsError as error:
        return CheckResult("search cluster", "problem", error.message, "", error.error_code)


def _print(findings: list[CheckResult]) -> None:
    width = max(len(finding.part) for finding in findings)
    for finding in findings:
        sign, colour = _SIGNS[finding.state]
        code = f" [{finding.code}]" if finding.code else ""
        click.echo(f"{click.style(f'{sign:<4}', fg=colour)}  {printable(finding.part):<{width}}  ", nl=False)
        click.echo(printable(finding.detail + code))
        if finding.next_step:
            click.echo(f"{'':<{width + 8}}{printable(finding.next_step)}")
    problems = sum(finding.state == "problem" for finding in findings)
    count = "1 problem." if problems == 1 else f"{problems} problems."
    click.echo(count if problems else "Everything that the gateway needs is in order.")
