"""Errors of the database, and of what is recorded in it."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class DatabaseError(ModelGateError, code="database"):
    """The database cannot be used."""


class DatabaseUnavailableError(DatabaseError, code="database-unavailable"):
    """The database does not answer; try again in a moment."""


class MigrationError(DatabaseError, code="database-schema"):
    """The database schema does not fit this version of ModelGate."""


class BackupError(DatabaseError, code="backup"):
    """A backup cannot be written, or not be restored."""


class AuditUnavailableError(ModelGateError, code="audit-unavailable"):
    """The trace of calls cannot be written, and without it nothing may be done; tell the gateway's administrator."""
