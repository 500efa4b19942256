"""Masking what is in the audit log already."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from gateway.audit.events import AuditEvent
from gateway.audit.past_rows import redact_rows_before
from gateway.audit.recorder import AuditRecorder
from gateway.database.actor import Actor, acting_as
from gateway.database.pool import open_database
from gateway.errors import ForbiddenError
from gateway.settings import AuditSettings, Settings
from tests.support.audit import audit_rows, tool_use
from tests.support.catalogue import direct_connection

NOW = datetime.now(timezone.utc)
BEFORE = NOW - timedelta(hours=1)


async def test_what_old_rows_say_goes_and_who_did_what_stays_and_that_is_recorded(settings: Settings) -> None:
    old = (NOW - timedelta(hours=2)).timestamp()
    async with open_database(settings) as database:
        async with AuditRecorder(database, AuditSettings()) as recorder:
            recorder.record(replace(tool_use(1), at=old, arguments={"x": "s3cret"}, error="s3cret"))
            recorder.record(replace(tool_use(2), at=old, kind="search", target="s3cret"))
            recorder.record(replace(tool_use(3), arguments={"x": "fresh"}))
            actor = Actor("admin", "ada", 7)
            recorder.record(
                AuditEvent(actor, "server.changed", "Docs", "ok", 1, details={"id": 4, "url": "s3cret"}, at=old)
            )
            recorder.record(AuditEvent(actor, "resource.read", "file:///s3cret", "ok", 1, at=old))
        with acting_as(Actor("command line", "olga")):
            assert await redact_rows_before(database, BEFORE) == 4
        rows = await audit_rows(database, wanted=6)
        assert "s3cret" not in str([dict(row) for row in rows])
        assert "fresh" in str([dict(row) for row in rows])
        by_action = {row["action"]: row for row in rows if row["at"].timestamp() < BEFORE.timestamp()}
        assert (by_action["tool.call"]["target"], by_action["tool.call"]["actor_name"]) == ("tool 1", "key five")
        assert (by_action["server.changed"]["target"], by_action["server.changed"]["actor_name"]) == ("Docs", "ada")
        assert by_action["server.changed"]["details"] == {"id": 4, "url": "********"}
        recorded = next(row for row in rows if row["action"] == "audit.redacted")
        assert (recorded["actor_name"], recorded["details"]) == ("olga", {"rows": 4})
        (whole,) = await audit_rows(database, action="audit.redacted", tenant=0)
        assert whole["details"] == {"rows": 4}
        # Once is enough.
        assert await redact_rows_before(database, BEFORE) == 0
        async with direct_connection(database) as connection:
            with pytest.raises(Exception, match="may only be added to"):
                await connection.execute("UPDATE audit_log SET details = '{}'")
            await connection.execute("SET modelgate.redacting = 'on'")
            with pytest.raises(Exception, match="may only be added to"):
                await connection.execute("UPDATE audit_log SET actor_name = 'x'")
            with pytest.raises(Exception, match="may only be added to"):
                await connection.execute("DELETE FROM audit_log")


async def test_who_does_not_own_the_tables_masks_nothing(settings: Settings) -> None:
    async with open_database(settings) as database, direct_connection(database) as connection:
        async with AuditRecorder(database, AuditSettings()) as recorder:
            recorder.record(replace(tool_use(1), at=(NOW - timedelta(hours=2)).timestamp()))
        role = f"app_{abs(hash(database.url)) % 10**8}"
        await connection.execute(f"CREATE ROLE {role} LOGIN")
        try:
            await connection.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
            url = database.url.replace("postgres@", f"{role}@").replace("postgres:@", f"{role}@")
            assert url != database.url
            other = replace(settings, database=replace(settings.database, url=url))
            database_of_app = type(database)(database._pool, other.database.url, None)
            with pytest.raises(ForbiddenError, match="own the tables"):
                await redact_rows_before(database_of_app, BEFORE)
            await connection.execute(f"SET ROLE {role}")
            await connection.execute("SET modelgate.redacting = 'on'")
            with pytest.raises(Exception, match="may only be added to"):
                await connection.execute("UPDATE tool_calls SET arguments = NULL")
        finally:
            await connection.execute("RESET ROLE")
            await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        (row,) = await audit_rows(database)
        assert row["details"]["arguments"] == {"number": 1}
