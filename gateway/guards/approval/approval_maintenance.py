"""What is done about approvals beside calls and decisions: the webhook is told, and what has had its time ends."""

from __future__ import annotations

import asyncio
import logging
import time

from gateway.database.connection import Row
from gateway.database.pool import Database
from gateway.errors import ModelGateError
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.approval_webhook import ApprovalWebhook
from gateway.guards.approval.call_approval import CallApproval
from gateway.guards.approval.call_approvals import CallApprovals

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 5.0
_DROP_EVERY_SECONDS = 600.0
_KEPT_SECONDS = 7 * 86_400.0
_AT_ONCE = 20
# How long it is until the webhook is told again, after each time that it was not heard.
_RETRY_SECONDS = (2.0, 10.0, 60.0, 300.0)
# Whoever tells it may end meanwhile; then another does.
_TELLING_SECONDS = 30.0


class ApprovalMaintenance:
    """Runs in one process for all."""

    def __init__(
        self, database: Database, approvals: CallApprovals, watch: ApprovalWatch, webhook: ApprovalWebhook
    ) -> None:
        self._database = database
        self._approvals = approvals
        self._watch = watch
        self._webhook = webhook

    async def run(self) -> None:
        """Until cancelled."""
        dropped_at = 0.0
        with self._watch.watching_any() as signal:
            while True:
                try:
                    await self._database.execute("close_expired_approvals", None, None)
                    if time.monotonic() - dropped_at > _DROP_EVERY_SECONDS:
                        await self._database.execute("drop_old_approvals", _KEPT_SECONDS)
                        dropped_at = time.monotonic()
                    if self._webhook.is_set:
                        await self._notify()
                except ModelGateError as error:
                    logger.info("Approvals are not looked after for the moment: %s", error)
                await signal.wait(_EVERY_SECONDS)

    async def _notify(self) -> None:
        rows = await self._database.fetch("approvals_to_tell", _AT_ONCE)
        for told in await asyncio.gather(*map(self._notify_of, rows), return_exceptions=True):
            if isinstance(told, BaseException):
                raise told

    async def _notify_of(self, row: Row) -> None:
        approval = await self._approvals.get(row["tenant_id"], row["id"])
        await self._schedule(row, _TELLING_SECONDS, counted=True)
        attempt = row["tell_attempts"]
        if await self._is_told(row, approval) or attempt >= len(_RETRY_SECONDS):
            await self._schedule(row, None)
        else:
            await self._schedule(row, _RETRY_SECONDS[attempt])

    async def _is_told(self, row: Row, approval: CallApproval) -> bool:
        try:
            arguments = await self._approvals.arguments(approval)
        except ModelGateError as error:
            logger.warning("The webhook is not told of approval %s: %s", approval.id, error)
            return True
        return await self._webhook.notify(row["tenant"], approval, arguments)

    async def _schedule(self, row: Row, seconds: float | None, *, counted: bool = False) -> None:
        await self._database.execute("approval_told", row["tenant_id"], row["id"], seconds, counted)
