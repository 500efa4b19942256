"""`modelgate approvals`: calls that wait for a person."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from gateway.access.tenants import tenant_by_slug
from gateway.cli.options import json_option, tenant_option
from gateway.cli.output import format_time, print_json, print_table, printable
from gateway.cli.runner import POOL_SIZE, ResultT, load_command_settings, run_async
from gateway.database.actor import current_actor
from gateway.database.pool import open_database

if TYPE_CHECKING:
    from gateway.guards.approval.approval_card import ApprovalDetail
    from gateway.guards.approval.call_approval import CallApproval, Decision
    from gateway.guards.approval.call_approvals import CallApprovals

_SHOWN_CHARACTERS = 200_000
_LISTED = 200

_reason_option = click.option("--reason", default="", help="Why; whoever asked is told.")


@click.group()
def approvals() -> None:
    """List, show, approve and deny calls that wait for a person.

    Which calls wait say the rules of roles: `modelgate roles set --approve`, `modelgate roles approve`.
    """


@approvals.command("list")
@click.option("--all", "every", is_flag=True, help="Those that are decided or have ended too.")
@tenant_option
@json_option
@click.pass_context
def list_approvals(context: click.Context, tenant: str, *, every: bool, as_json: bool) -> None:
    """List the calls that wait, the newest first."""
    from gateway.guards.approval.approval_card import approval_card

    async def work(store: CallApprovals, tenant_id: int) -> tuple[CallApproval, ...]:
        return await store.list(tenant_id, waiting=not every, limit=_LISTED)

    listed = _run(context, tenant, work)
    if as_json:
        print_json([approval_card(approval) for approval in listed])
        return
    if not listed:
        click.echo("There has been no call that waited." if every else "No call waits for approval.")
        return
    print_table(
        ["ID", "STATE", "TOOL", "ASKED BY", "ASKED", "UNTIL", "DECIDED BY"],
        [
            [
                approval.id,
                approval.state,
                approval.tool_name,
                printable(approval.asked_by, 60),
                format_time(approval.asked_at),
                format_time(approval.expires_at),
                printable(approval.decided_by or "", 60),
            ]
            for approval in listed
        ],
    )


@approvals.command("show")
@click.argument("approval_id")
@tenant_option
@json_option
@click.pass_context
def show(context: click.Context, approval_id: str, tenant: str, *, as_json: bool) -> None:
    """Show a call in full: who asks, what the tool says it does, every argument."""
    from gateway.guards.approval.approval_card import approval_detail

    async def work(store: CallApprovals, tenant_id: int) -> ApprovalDetail:
        approval = await store.get(tenant_id, approval_id)
        return approval_detail(approval, await store.arguments(approval), changed=await store.is_outdated(approval))

    detail = _run(context, tenant, work)
    if as_json:
        print_json(detail)
        return
    card = detail.approval
    click.echo(f"{card.id}: {card.state}")
    click.echo(f"Tool: {card.tool} of {printable(card.server)}")
    click.echo(f"Asked by: {printable(card.asked_by)}, {format_time(card.asked_at)}")
    click.echo(f"Until: {format_time(card.expires_at)}")
    if card.decided_by:
        reason = f": {printable(card.reason, 1_000)}" if card.reason else ""
        click.echo(f"Decided by: {printable(card.decided_by)}, {format_time(card.decided_at)}{reason}")
    if detail.changed:
        click.echo("The tool is described otherwise by now: this approval lets nothing through any more.")
    if detail.description:
        click.echo(f"The tool says: {printable(detail.description, 2_000)}")
    click.echo("Arguments:")
    for line in json.dumps(detail.arguments, ensure_ascii=False, indent=2).splitlines():
        click.echo(f"  {printable(line, _SHOWN_CHARACTERS)}")


@approvals.command("approve")
@click.argument("approval_id")
@_reason_option
@tenant_option
@click.pass_context
def approve(context: click.Context, approval_id: str, reason: str, tenant: str) -> None:
    """Let the call through, once; whoever asked finds that out at once."""
    approval = _decide(context, tenant, approval_id, "approved", reason)
    click.echo(f"{approval.tool_name} may be called as it was asked, until {format_time(approval.expires_at)}.")


@approvals.command("deny")
@click.argument("approval_id")
@_reason_option
@tenant_option
@click.pass_context
def deny(context: click.Context, approval_id: str, reason: str, tenant: str) -> None:
    """Refuse the call; whoever asked is told."""
    approval = _decide(context, tenant, approval_id, "denied", reason)
    click.echo(f"The call of {approval.tool_name} is denied.")


def _decide(context: click.Context, tenant: str, approval_id: str, decision: Decision, reason: str) -> CallApproval:
    from gateway.guards.approval.call_approval import Approver

    async def work(store: CallApprovals, tenant_id: int) -> CallApproval:
        approver = Approver(current_actor().name, "command line")
        return await store.decide(tenant_id, approval_id, approver, decision, reason)

    return _run(context, tenant, work)


def _run(context: click.Context, tenant: str, work: Callable[[CallApprovals, int], Awaitable[ResultT]]) -> ResultT:
    """Run `work` with the approvals and the id of the tenant. Raises NotFoundError where there is none."""
    from gateway.guards.approval.call_approvals import CallApprovals
    from gateway.vault import Vault, open_keys

    settings = load_command_settings(context, log_level="warning")

    async def open_and_work() -> ResultT:
        async with open_database(settings, size=POOL_SIZE) as database:
            keys = open_keys(settings.server.encryption_key, settings.server.former_encryption_key, settings.data_dir)
            store = CallApprovals(database, Vault(keys), settings.approval)
            return await work(store, (await tenant_by_slug(database, tenant)).id)

    return run_async(open_and_work)
