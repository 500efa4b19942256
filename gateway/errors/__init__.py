"""Every error that ModelGate raises on purpose.

All of them stand in this room, below one root. A class that a module raises and catches by itself may stand in that
module, private to it; nothing else may.

Each class is one documented sentence; raised without a message, the sentence is the message. A message says what
happened, to which thing, and what to do next, without internals: it may be shown to a user as it is. What a program
has to know of an error is an attribute, never a part of the sentence.

`error_code` names what kind of trouble it is, and never changes: docs/troubleshooting.md has a section for each. A
class without one of its own has that of the class above it.
"""

from __future__ import annotations

from gateway.errors.access import (
    AccessError,
    ApprovalOwnError,
    CredentialError,
    ForbiddenError,
    LimitError,
    LockedOutError,
    OpenIdError,
    RoleMissingError,
    SignInRequiredError,
    SignInUnavailableError,
)
from gateway.errors.cluster import LinkFailedError, LinkLostError, LinkRefusedError, NotOwnerError, WorkerFailedError
from gateway.errors.database import (
    AuditUnavailableError,
    BackupError,
    DatabaseError,
    DatabaseUnavailableError,
    MigrationError,
)
from gateway.errors.embedding import (
    BadVectorError,
    EmbedderFailedError,
    EmbedderUnavailableError,
    EmbeddingError,
    ModelChangedError,
    RerankError,
    TextRefusedError,
)
from gateway.errors.guards import GuardError, GuardRefusedError
from gateway.errors.opensearch import (
    IndexTooLargeError,
    MlCommonsError,
    OpenSearchAliasError,
    OpenSearchBusyError,
    OpenSearchCertificateError,
    OpenSearchCredentialsError,
    OpenSearchDiskFullError,
    OpenSearchError,
    OpenSearchIncompleteError,
    OpenSearchIndexMissingError,
    OpenSearchMappingError,
    OpenSearchUnavailableError,
    OpenSearchVersionError,
)
from gateway.errors.request import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    ConflictError,
    FieldProblem,
    HttpError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    TooDeepError,
)
from gateway.errors.root import ModelGateError
from gateway.errors.setup import ClusterKeyError, InstallError, PlatformError, PortTakenError, SettingsError
from gateway.errors.upstream import (
    CallerTokenNeededError,
    ConnectionNeededError,
    GrantRefusedError,
    RegistryError,
    RequestNotSentError,
    SessionLostError,
    UpstreamBusyError,
    UpstreamDeadlineError,
    UpstreamError,
    UpstreamHttpError,
    UpstreamProtocolError,
    UpstreamReplyError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

__all__ = [
    "AccessError",
    "ApprovalDecidedError",
    "ApprovalNotFoundError",
    "ApprovalOwnError",
    "AuditUnavailableError",
    "BackupError",
    "BadVectorError",
    "CallerTokenNeededError",
    "ClusterKeyError",
    "ConflictError",
    "ConnectionNeededError",
    "CredentialError",
    "DatabaseError",
    "DatabaseUnavailableError",
    "EmbedderFailedError",
    "EmbedderUnavailableError",
    "EmbeddingError",
    "FieldProblem",
    "ForbiddenError",
    "GrantRefusedError",
    "GuardError",
    "GuardRefusedError",
    "HttpError",
    "IndexTooLargeError",
    "InstallError",
    "InvalidInputError",
    "LimitError",
    "LinkFailedError",
    "LinkLostError",
    "LinkRefusedError",
    "LockedOutError",
    "MigrationError",
    "MlCommonsError",
    "ModelChangedError",
    "ModelGateError",
    "NotFoundError",
    "NotOwnerError",
    "OpenIdError",
    "OpenSearchAliasError",
    "OpenSearchBusyError",
    "OpenSearchCertificateError",
    "OpenSearchCredentialsError",
    "OpenSearchDiskFullError",
    "OpenSearchError",
    "OpenSearchIncompleteError",
    "OpenSearchIndexMissingError",
    "OpenSearchMappingError",
    "OpenSearchUnavailableError",
    "OpenSearchVersionError",
    "OverloadedError",
    "PlatformError",
    "PortTakenError",
    "RegistryError",
    "RequestNotSentError",
    "RerankError",
    "RoleMissingError",
    "SessionLostError",
    "SettingsError",
    "SignInRequiredError",
    "SignInUnavailableError",
    "TextRefusedError",
    "TooDeepError",
    "UpstreamBusyError",
    "UpstreamDeadlineError",
    "UpstreamError",
    "UpstreamHttpError",
    "UpstreamProtocolError",
    "UpstreamReplyError",
    "UpstreamTimeoutError",
    "UpstreamUnavailableError",
    "WorkerFailedError",
]
