"""What the parts of a gateway say of themselves, among the metrics."""

from __future__ import annotations

from gateway import __version__
from gateway.components import Components
from gateway.search.index.opensearch.feed.index_feed import FeedProgress


def watch_components(parts: Components) -> None:
    """Have the state of the parts read whenever the metrics are asked for."""
    metrics = parts.metrics
    metrics.watch("modelgate_build_info", "1, with the version", lambda: {__version__: 1}, label="version")
    _watch_database(parts)
    _watch_cluster(parts)
    _watch_upstream(parts)
    _watch_search(parts)
    recorder = parts.recorder
    metrics.watch("modelgate_audit_waiting", "Events not written yet", lambda: {"": recorder.state().waiting})
    metrics.watch_counter(
        "modelgate_audit_dropped", "Events that never will be written", lambda: {"": recorder.state().dropped}
    )
    metrics.watch(
        "modelgate_audit_writable", "1 while the audit log is written", lambda: {"": float(recorder.state().ready)}
    )


def _watch_database(parts: Components) -> None:
    metrics = parts.metrics
    metrics.watch(
        "modelgate_database_connections", "Pooled connections", lambda: parts.database.connections, label="state"
    )
    metrics.watch_counter(
        "modelgate_database_replica_reads",
        "Reads of catalogues at replicas, of replicas that were behind, and that failed",
        lambda: parts.database.replicas.reads,
        label="outcome",
    )
    metrics.watch(
        "modelgate_notices_connected",
        "1 while changes are told; without them each search asks whether anything has changed",
        lambda: {"": parts.notices.connected},
    )


def _watch_cluster(parts: Components) -> None:
    """A process that is no member, as in a test, is all there is."""
    cluster, metrics = parts.cluster, parts.metrics
    metrics.watch(
        "modelgate_cluster_members",
        "Processes on this database",
        lambda: {"": 1 if cluster is None else 1 + len(cluster.membership.others)},
    )
    metrics.watch(
        "modelgate_cluster_leader",
        "1 in the process that leads; in all 1",
        lambda: {"": cluster is None or cluster.membership.is_leader},
    )
    metrics.watch(
        "modelgate_cluster_owned_servers",
        "Upstream servers whose sessions are in this process",
        lambda: {"": sum(parts.pool.states().values()) if cluster is None else len(cluster.owners.owned())},
    )


def _watch_upstream(parts: Components) -> None:
    metrics, pool = parts.metrics, parts.pool
    metrics.watch("modelgate_upstream_servers", "Upstream servers in use", pool.states, label="state")
    metrics.watch(
        "modelgate_upstream_calls", "Calls in flight to servers, and those that wait for a slot", pool.calls, "state"
    )
    metrics.watch(
        "modelgate_upstream_breaker_open", "1 for a server that is left alone", pool.open_breakers, label="server"
    )
    metrics.watch(
        "modelgate_upstream_restarts",
        "Connections after the first of each session, over the servers that are in use",
        lambda: {"": pool.restarts},
    )


def _watch_search(parts: Components) -> None:
    metrics, spaces, index = parts.metrics, parts.spaces, parts.index
    metrics.watch("modelgate_index_bytes", "Memory of the search index", lambda: {"": index.size_bytes})
    metrics.watch("modelgate_index_tools", "Tools in the search index", lambda: {"": index.tools})
    metrics.watch(
        "modelgate_index_age_seconds",
        "For how long a change of the catalogue has not been read, at most; the next search reads it",
        lambda: {"": index.age_seconds},
    )
    _watch_search_cluster(parts)
    _watch_learning(parts)
    metrics.watch(
        "modelgate_tools_without_vectors",
        "Tools that lack a vector, because it is not made yet or the embedder refuses a text",
        lambda: spaces.lacking,
        label="why",
    )
    metrics.watch_counter(
        "modelgate_query_cache_lookups",
        "Queries by where their vectors came from; embedded ones cost a call",
        lambda: spaces.query_cache.lookups,
        label="source",
    )
    metrics.watch_counter(
        "modelgate_embedded_queries", "Queries that a space answered", lambda: spaces.queries.count, label="space"
    )
    metrics.watch_counter(
        "modelgate_embedded_query_seconds",
        "Seconds that these took in all",
        lambda: spaces.queries.seconds,
        label="space",
    )
    metrics.watch(
        "modelgate_embedding_queue", "Texts that wait for the embedder", lambda: {"": spaces.embedder.waiting_texts}
    )
    metrics.watch(
        "modelgate_embedder_breaker_open",
        "1 while the embedding server is left alone",
        lambda: {"": spaces.embedder.is_left_alone},
    )


def _watch_learning(parts: Components) -> None:
    """Zeros where nothing is learnt from use."""
    metrics, learning = parts.metrics, parts.use_learning
    metrics.watch(
        "modelgate_learning_waiting",
        "Searches that led to calls and are not counted yet",
        lambda: {"": 0 if learning is None else learning.recorder.waiting},
    )
    metrics.watch_counter(
        "modelgate_learning_dropped",
        "Searches that led to calls and never will be counted",
        lambda: {"": 0 if learning is None else learning.recorder.dropped},
    )


def _watch_search_cluster(parts: Components) -> None:
    """Zeros where searches run elsewhere; how far it is behind is known in the process that leads."""
    metrics, cluster = parts.metrics, parts.search_cluster

    def progress() -> FeedProgress:
        return FeedProgress() if cluster is None else cluster.feed.progress

    metrics.watch_counter(
        "modelgate_opensearch_requests",
        "What the search cluster is for, by where it was answered",
        lambda: {} if cluster is None else dict(cluster.index.asked),
        label="engine",
    )
    metrics.watch(
        "modelgate_opensearch_available",
        "1 while searches go to the search cluster",
        lambda: {"": cluster is not None and not cluster.index.failure},
    )
    metrics.watch(
        "modelgate_opensearch_lag_tenants",
        "Tenants whose catalogues the search cluster is behind",
        lambda: {"": progress().tenants},
    )
    metrics.watch(
        "modelgate_opensearch_lag_seconds",
        "For how long the search cluster is behind, at most",
        lambda: {"": progress().seconds},
    )
    metrics.watch_counter(
        "modelgate_opensearch_documents_written",
        "Documents written into the search cluster and taken out of it",
        lambda: {"": progress().written},
    )
