"""`modelgate guards`: what is looked for in calls, and what is done about it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import click

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.category import CATEGORIES
from gateway.cli.command_group import CommandGroup
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import ResultT, load_command_settings, run_with_database
from gateway.database.pool import Database
from gateway.errors import InvalidInputError
from gateway.guards.dry_run import MAX_CALLS, DryRun, DryRunReport
from gateway.guards.guards import Guards
from gateway.guards.open_guards import open_guards
from gateway.guards.options import TRAITS
from gateway.guards.rule import FAIL_MODES, GUARD_ACTIONS, GUARD_KINDS, STAGES, SUBJECTS, GuardRule, StoredGuardRule
from gateway.telemetry.metrics import Metrics
from gateway.upstream.policy import policy_from_settings
from gateway.vault import Vault, open_keys

_LISTS = ("allowed", "arguments", "hosts", "kinds")


@click.group(cls=CommandGroup)
def guards() -> None:
    """Look for what must not go to servers or come from them, and say what is done about it.

    Guards look at the arguments of a call before it is made, and at its result. Each observes, masks or denies.
    """


@guards.command("list")
@tenant_option
@json_option
@click.pass_context
def list_all(context: click.Context, tenant: str, *, as_json: bool) -> None:
    """List all guards, in the order in which they are gone through."""

    async def work(guards: Guards, tenant_id: int) -> tuple[StoredGuardRule, ...]:
        return await guards.rules.list(tenant_id)

    listed = _run(context, tenant, work)
    if as_json:
        print_json(listed)
        return
    if not listed:
        click.echo("There are no guards yet; make one with modelgate guards set.")
        return
    print_table(
        ["POSITION", "NAME", "GUARD", "ACTION", "ON", "FOR", "FAIL", "OPTIONS"],
        [
            [
                str(stored.rule.position),
                stored.rule.name + ("" if stored.rule.enabled else " (off)"),
                stored.rule.guard,
                stored.rule.action,
                ", ".join(stored.rule.stages),
                printable(_about(stored), 100),
                stored.rule.fail,
                printable(json.dumps(dict(stored.rule.options), ensure_ascii=False), 100),
            ]
            for stored in listed
        ],
    )


@guards.command("set")
@click.argument("name")
@click.option("--guard", "kind", type=click.Choice(GUARD_KINDS), help="What looks; needed for a new one.")
@click.option("--action", type=click.Choice(GUARD_ACTIONS), help="What is done about what is found.")
@click.option("--on", "stages", multiple=True, type=click.Choice(STAGES), help="What is looked at [default: all].")
@click.option("--for", "subjects", multiple=True, type=click.Choice(SUBJECTS), help="Of what [default: tools].")
@click.option("--role", help="For callers with this role only.")
@click.option("--server", help="For this server only.")
@click.option("--pattern", help='For names that this fits only, with * for anything: "*delete*".')
@click.option("--category", type=click.Choice(CATEGORIES), help="For tools of this kind only.")
@click.option("--position", type=int, help="Guards are gone through by it [default: 100].")
@click.option("--fail", type=click.Choice(FAIL_MODES), help="What is done where it cannot tell [default: closed].")
@click.option("--budget-ms", type=int, help="How long it may take [default: 300].")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the guard; may be repeated."
)
@click.option("--secret", help="What a webhook's requests are signed with; made where there is none.")
@click.option("--enabled/--disabled", default=None, help="Whether it is on.")
@tenant_option
@click.pass_context
def set_guard(
    context: click.Context,
    name: str,
    kind: Any,
    action: Any,
    stages: Any,
    subjects: Any,
    role: str | None,
    server: str | None,
    pattern: str | None,
    category: str | None,
    position: int | None,
    fail: Any,
    budget_ms: int | None,
    options: tuple[str, ...],
    secret: str | None,
    tenant: str,
    *,
    enabled: bool | None,
) -> None:
    """Make the guard NAME, or change it; what is not named stays."""

    async def work(guards: Guards, tenant_id: int) -> StoredGuardRule:
        rules = guards.rules
        known = {stored.rule.name: stored for stored in await rules.list(tenant_id)}.get(name)
        changes: dict[str, Any] = {
            "guard": kind,
            "action": action,
            "stages": stages or None,
            "subjects": subjects or None,
            "role_id": None if role is None else await rules.role_id(tenant_id, role),
            "server_id": None if server is None else await rules.server_id(tenant_id, server),
            "pattern": pattern,
            "category": category,
            "position": position,
            "fail": fail,
            "budget_ms": budget_ms,
            "enabled": enabled,
            "options": _read_options(options) if options else None,
        }
        given = {field: value for field, value in changes.items() if value is not None}
        if known is None:
            if kind is None or action is None:
                raise InvalidInputError("A new guard needs --guard and --action.")
            rule = GuardRule(**{"name": name, "stages": TRAITS[GuardRule(name, kind, action).guard].stages, **given})
        else:
            rule = replace(known.rule, **given)
        return await rules.set(tenant_id, rule, secret=secret, version=None if known is None else known.version)

    stored = _run(context, tenant, work)
    click.echo(f"The guard {name} is in force." if stored.rule.enabled else f"The guard {name} is set, and off.")
    if stored.new_secret is not None:
        click.echo(stored.new_secret)
        click.echo("Keep this secret: it is not shown again. The webhook checks signatures with it.", err=True)


@guards.command("remove")
@click.argument("name")
@tenant_option
@click.pass_context
def remove(context: click.Context, name: str, tenant: str) -> None:
    """Remove the guard NAME."""

    async def work(guards: Guards, tenant_id: int) -> None:
        await guards.rules.remove(tenant_id, name)

    _run(context, tenant, work)
    click.echo(f"The guard {name} is removed.")


@guards.command("try")
@click.argument("name")
@click.option("--last", type=click.IntRange(1, MAX_CALLS), default=100, show_default=True, help="How many calls.")
@tenant_option
@json_option
@click.pass_context
def try_guard(context: click.Context, name: str, last: int, tenant: str, *, as_json: bool) -> None:
    """Say what the guard NAME would have done about the last calls, by what the trace has kept of them."""

    async def work(guards: Guards, tenant_id: int) -> DryRunReport:
        return await DryRun(guards).run(tenant_id, await guards.rules.get(tenant_id, name), last)

    report = _run(context, tenant, work)
    if as_json:
        print_json(report)
        return
    if report.arguments or report.results:
        verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(report.verdicts.items()))
        click.echo(
            f"Of {report.calls:,} calls the trace has {report.arguments:,} arguments and {report.results:,} results "
            f"that {name} is about: {verdicts or 'nothing found'}."
        )
    else:
        click.echo(f'The trace has nothing that {name} looks at; audit.results = "all" keeps results.')
    if report.masked:
        click.echo(f"In {report.masked:,} calls the trace had masked something, which cannot be told any more.")
    if report.examples:
        print_table(
            ["CALL", "TIME", "KEY", "TOOL", "IN", "WOULD BE", "FOUND"],
            [
                [
                    str(example.call_id),
                    format_time(example.at),
                    printable(example.key, 40),
                    printable(example.target, 60),
                    example.stage,
                    example.verdict,
                    str(example.count),
                ]
                for example in report.examples
            ],
        )


def _run(context: click.Context, tenant: str, work: Callable[[Guards, int], Coroutine[Any, Any, ResultT]]) -> ResultT:
    settings = load_command_settings(context, log_level="warning")

    async def open_and_work(database: Database) -> ResultT:
        server = settings.server
        vault = Vault(open_keys(server.encryption_key, server.former_encryption_key, settings.data_dir))
        async with open_guards(database, vault, policy_from_settings(settings.guards), Metrics()) as guards:
            return await work(guards, (await tenant_by_slug(database, tenant)).id)

    return run_with_database(context, open_and_work)


def _read_options(given: tuple[str, ...]) -> Mapping[str, Any]:
    """Options by name; values are JSON where they can be, and those of lists are gathered."""
    options: dict[str, Any] = {}
    for each in given:
        key, separator, text = each.partition("=")
        if not separator or not key:
            raise InvalidInputError(f"--option {each[:100]!r} has to be KEY=VALUE, as max_bytes=10000.")
        value: Any = text
        with contextlib.suppress(ValueError):
            value = json.loads(text)
        if key in _LISTS:
            options[key] = [*options.get(key, []), *(value if isinstance(value, list) else [text])]
        else:
            options[key] = value
    return options


def _about(stored: StoredGuardRule) -> str:
    """Whom and what a rule is about, in few words."""
    rule = stored.rule
    words = [
        ", ".join(rule.subjects),
        stored.role and f"role {stored.role}",
        stored.server and f"server {stored.server}",
        rule.pattern and f"pattern {rule.pattern}",
        rule.category and f"category {rule.category}",
    ]
    return "; ".join(word for word in words if word)
