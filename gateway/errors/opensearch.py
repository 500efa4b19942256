"""Errors of indexes, and of the search cluster that may hold them."""

from __future__ import annotations

from gateway.errors.root import ModelGateError


class IndexTooLargeError(ModelGateError, code="index-too-large"):
    """A tenant's index does not fit into the memory that search may take; `tool_count` is how many tools it has."""

    def __init__(self, tenant_id: int, tool_count: int) -> None:
        super().__init__(f"The {tool_count:,} tools of tenant {tenant_id} do not fit into search.index_mib; raise it.")
        self.tenant_id = tenant_id
        self.tool_count = tool_count


class OpenSearchError(ModelGateError, code="opensearch"):
    """The search cluster refuses a request; `detail` says which and why, `next_step` what to do about it."""

    def __init__(self, detail: str, next_step: str) -> None:
        """Both without a full stop; the message is made of the two."""
        super().__init__(f"{detail}; {next_step}.")
        self.detail = detail
        self.next_step = next_step


class OpenSearchUnavailableError(OpenSearchError, code="opensearch-unavailable"):
    """The search cluster does not answer, or not in time."""


class OpenSearchCredentialsError(OpenSearchError, code="opensearch-credentials"):
    """The search cluster does not know the gateway, or does not let it do what it has to."""


class OpenSearchCertificateError(OpenSearchError, code="opensearch-certificate"):
    """The certificate of the search cluster cannot be trusted."""


class OpenSearchBusyError(OpenSearchError, code="opensearch-busy"):
    """The search cluster has more to do than it takes on."""


class OpenSearchDiskFullError(OpenSearchError, code="opensearch-disk"):
    """The search cluster writes no more, for its disks are full."""


class OpenSearchIncompleteError(OpenSearchError, code="opensearch-incomplete"):
    """A part of an index did not answer, or not in time, and what the others say is not shown as all there is."""


class OpenSearchIndexMissingError(OpenSearchError, code="opensearch-index"):
    """There is no index in the search cluster, or it is not filled yet."""


class OpenSearchMappingError(OpenSearchError, code="opensearch-mapping"):
    """An index in the search cluster is not laid out as this version of the gateway does it."""


class OpenSearchVersionError(OpenSearchError, code="opensearch-version"):
    """The search cluster is not one that the gateway can use."""


class OpenSearchAliasError(OpenSearchError, code="opensearch-alias"):
    """A name in the search cluster that the gateway needs is somebody else's."""


class MlCommonsError(OpenSearchError, code="opensearch-model"):
    """A cluster does not do what a model in it needs; `status` is that of its answer, `reason` what it said, if any."""

    def __init__(self, detail: str, next_step: str, status: int | None = None, reason: str = "") -> None:
        super().__init__(detail, next_step)
        self.status = status
        self.reason = reason
