"""What an answer of the search cluster that is none means, and what to do about it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gateway.errors import (
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
)
from gateway.settings import OpenSearchSettings

if TYPE_CHECKING:
    from opensearchpy.exceptions import OpenSearchException

TOO_SLOW = 408
"""The status of what took too long at a node that answers."""

# Of what a cluster says in its own words.
_LONGEST_REASON = 300


@contextlib.contextmanager
def reading_answers() -> Iterator[None]:
    """Whoever reads answers inside is told of one that is none. Raises OpenSearchUnavailableError."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # What answers by now may be another server.
        raise OpenSearchUnavailableError(
            f"The search cluster answered with what is no answer of OpenSearch's ({type(error).__name__})",
            "see whether opensearch.urls leads to it",
        ) from error


def failure_of(error: OpenSearchException, what: str, settings: OpenSearchSettings) -> OpenSearchError:
    """What an exception of the client means; `what` is the request."""
    from opensearchpy.exceptions import ConnectionError as NotConnectedError
    from opensearchpy.exceptions import ConnectionTimeout, TransportError

    if isinstance(error, ConnectionTimeout):
        return OpenSearchUnavailableError(
            f"OpenSearch did not answer {what} in time",
            "look at the load of its nodes, or raise opensearch.timeout_ms",
        )
    if isinstance(error, NotConnectedError):
        refused = _certificate_problem(error)
        if refused:
            return OpenSearchCertificateError(
                f"The certificate of {', '.join(settings.urls)} cannot be trusted: {refused}",
                "name the certificates that sign it in opensearch.ca_file, or renew it",
            )
        return OpenSearchUnavailableError(
            f"None of {', '.join(settings.urls)} answers", "see whether OpenSearch runs there, and opensearch.urls"
        )
    if isinstance(error, TransportError) and isinstance(error.status_code, int):
        return failure_of_item(error.status_code, error.info, what)
    return OpenSearchUnavailableError(
        f"OpenSearch gave no answer to {what} that can be read", "see whether opensearch.urls leads to it"
    )


def failure_of_item(status: int, info: Any, what: str) -> OpenSearchError:
    """What an answer with this status means; `info` is its body, or what it says of one part of a request."""
    kind, reason = _kind_and_reason(info)
    said = f"{kind}: {reason}"[:_LONGEST_REASON].rstrip(".") if reason else kind or f"status {status}"
    if status == 401 or (status == 403 and "block" not in kind):
        return OpenSearchCredentialsError(
            f"OpenSearch does not let the gateway do {what} ({said})",
            "look at opensearch.username, password and api_key, and at what that user may do",
        )
    if "block" in kind:
        # Where all nodes are full, no index can be made, either.
        if any(word in reason for word in ("read-only", "disk", "flood", "create-index")):
            return OpenSearchDiskFullError(
                f"OpenSearch writes no more ({said})",
                "make room on the disks of its nodes; it goes on by itself once there is",
            )
        if reason.startswith("index ["):
            return OpenSearchIncompleteError(
                f"An index is blocked for {what} ({said})", "take the block from it, or run modelgate index rebuild"
            )
        return OpenSearchUnavailableError(f"OpenSearch holds back {what} ({said})", "see GET /_cluster/health there")
    if status == TOO_SLOW:
        return OpenSearchIncompleteError(
            f"What {what} is about did not answer in time",
            "look at GET /_cat/shards and the load of the nodes, or raise opensearch.timeout_ms",
        )
    if status == 429:
        return OpenSearchBusyError(
            f"OpenSearch has too much to do for {what} ({said})", "add nodes, or memory; it is tried again by itself"
        )
    if kind == "index_not_found_exception" or (status == 404 and not kind):
        return OpenSearchIndexMissingError(
            f"{what} found no index", "it is built in the background; see modelgate index status"
        )
    if kind == "index_closed_exception":
        return OpenSearchIncompleteError(
            f"An index is closed for {what}", "open it again, or run modelgate index rebuild"
        )
    if kind in ("invalid_alias_name_exception", "invalid_index_name_exception", "resource_already_exists_exception"):
        return OpenSearchAliasError(
            f"A name that the gateway needs is taken ({said})", "choose another opensearch.index_prefix"
        )
    if kind in ("mapper_parsing_exception", "strict_dynamic_mapping_exception", "query_shard_exception"):
        return OpenSearchMappingError(
            f"An index is not laid out as the gateway does it ({said})", "run modelgate index rebuild"
        )
    if "no_shard_available" in said or "all shards failed" in reason or status == 503:
        return OpenSearchIncompleteError(
            f"Shards of an index are not available to {what} ({said})", "see GET /_cluster/health there"
        )
    if status >= 500:
        return OpenSearchUnavailableError(f"OpenSearch failed at {what} ({said})", "see the log of its nodes")
    return OpenSearchError(f"OpenSearch refused {what} ({said})", "report it, with the version of the cluster")


def _kind_and_reason(info: Any) -> tuple[str, str]:
    error = info.get("error", info) if isinstance(info, Mapping) else info
    if isinstance(error, str):
        return "", error
    if not isinstance(error, Mapping):
        return "", ""
    kind, reason = str(error.get("type", "")), str(error.get("reason", ""))
    # What went wrong stands below the failure of all shards.
    causes = error.get("root_cause") or ()
    cause = causes[0] if causes and isinstance(causes[0], Mapping) else {}
    if kind == "search_phase_execution_exception" and cause.get("type"):
        return str(cause["type"]), str(cause.get("reason", ""))
    return kind, reason


def _certificate_problem(error: BaseException | None) -> str:
    """What is wrong with a certificate, where that is why there is no connection."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, ssl.SSLCertVerificationError):
            # The client has an error of its own around that of the connection.
            its = getattr(error, "certificate_error", error)
            return getattr(its, "verify_message", "") or "it is not valid"
        info = getattr(error, "info", None)
        error = info if isinstance(info, BaseException) else error.__cause__ or error.__context__
        seen += 1
    return ""
