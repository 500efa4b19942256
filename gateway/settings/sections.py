"""The settings: one frozen dataclass a section, one field a setting, each with its default.

A field's type says what a value may be. It holds for what is read from a file and the environment; whoever makes these
objects in code is not held to it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

Secret: TypeAlias = Annotated[str, Field(json_schema_extra={"format": "password"})]
"""A text that is never shown."""

KNOWN_PREFIX = "auto"
"""In place of a prefix: the one that the embedding model is known to expect."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where the gateway listens and what it accepts.

    `trusted_proxies` are addresses and networks in CIDR form whose X-Forwarded-For, -Proto, -Host and
    -Prefix are believed; `root_path` is the path below which a proxy offers the gateway, where it does not say so. The
    head of a request has `head_seconds` to come, its body `body_seconds`; of connections 0 is any number.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    data_dir: str = "~/.local/share/modelgate"
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    root_path: str = ""
    head_seconds: Annotated[float, Field(ge=0.1)] = 10.0
    body_seconds: Annotated[float, Field(ge=0.1)] = 30.0
    max_connections_per_address: Annotated[int, Field(ge=0)] = 1_000
    max_body_bytes: Annotated[int, Field(ge=1024)] = 4 * 1024 * 1024
    max_requests: Annotated[int, Field(ge=4)] = 2_000
    max_sessions: Annotated[int, Field(ge=1)] = 10_000
    max_sessions_per_caller: Annotated[int, Field(ge=1)] = 2_000
    replay_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024
    session_idle_seconds: Annotated[float, Field(ge=1)] = 1800.0
    drain_seconds: Annotated[float, Field(ge=0)] = 30.0
    encryption_key: Secret = field(default="", repr=False)
    former_encryption_key: Secret = field(default="", repr=False)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = "text"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Which PostgreSQL holds the catalogue; an empty `url` is the embedded one.

    `replica_urls` are read-only copies of it, from which indexes and lists are read where they have the latest change.
    """

    url: Secret = field(default="", repr=False)
    pool_size: Annotated[int, Field(ge=2)] = 8
    replica_urls: Annotated[tuple[str, ...], Field(json_schema_extra={"format": "password"})] = field(
        default=(), repr=False
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where the processes that serve one database reach each other.

    An empty `host` is the address of this machine from which the database is reached, a `port` of 0 one that the system
    chooses. Others are told `advertised_host`, and where that is empty, `host`.
    """

    host: str = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    advertised_host: str = ""


@dataclass(frozen=True, slots=True)
class EmbedderRoute:
    """An embedder for queries in some languages, beside the one of all others. `languages` are two-letter codes, as
    "ja"; "*" is all that no other route names. What is left empty is as in `EmbedderSettings`.
    """

    languages: tuple[str, ...] = ()
    type: Literal["ollama", "openai", "builtin", "onnx"] = "ollama"
    path: str = ""
    base_url: str = ""
    model: str = ""
    api_key: Secret = field(default="", repr=False)
    dimensions: Annotated[int, Field(ge=0, le=16_000)] = 0
    document_prefix: str = KNOWN_PREFIX
    query_prefix: str = KNOWN_PREFIX


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """What turns texts into vectors.

    An empty `base_url` is Ollama on this machine, and for "openai" OpenAI itself; `fallback_urls` are servers of the
    same model that are asked where that one does not answer. A prefix of "auto" is the one that the model is known to
    expect. `dimensions` of 0 are as many as the model gives. `batch_size` and `concurrency` are upper limits: how much
    is asked at once adapts to the server. In the background `fill_texts_per_minute` are embedded at most, 0 is as many
    as it can. With `pull`, Ollama is told to fetch the models that it lacks. Each `route` is an embedder for queries in
    some languages.
    """

    type: Literal["auto", "ollama", "openai", "builtin", "onnx"] = "auto"
    path: str = ""
    base_url: str = ""
    fallback_urls: tuple[str, ...] = ()
    model: str = "nomic-embed-text"
    api_key: Secret = field(default="", repr=False)
    dimensions: Annotated[int, Field(ge=0, le=16_000)] = 0
    document_prefix: str = KNOWN_PREFIX
    query_prefix: str = KNOWN_PREFIX
    timeout_seconds: Annotated[float, Field(ge=0.1)] = 30.0
    batch_size: Annotated[int, Field(ge=1)] = 128
    concurrency: Annotated[int, Field(ge=1)] = 8
    standby: bool = True
    query_budget_ms: Annotated[int, Field(ge=10)] = 1_500
    space_grace_hours: Annotated[float, Field(ge=0)] = 24.0
    cache: bool = True
    cache_ttl_seconds: Annotated[int, Field(ge=1, le=2**31 - 1)] = 86_400
    fill_texts_per_minute: Annotated[int, Field(ge=0)] = 0
    pull: bool = False
    route: tuple[EmbedderRoute, ...] = ()


@dataclass(frozen=True, slots=True)
class McpSettings:
    """How tools are named to clients, and what is passed on to them.

    `max_result_bytes` is the size of one upstream result as JSON, `max_binary_bytes` that of one with pictures or
    files, `question_seconds` the time that a client has to answer what an upstream server asks.
    """

    names: Literal["slug", "path"] = "slug"
    max_result_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    max_binary_bytes: Annotated[int, Field(ge=0)] = 4 * 1024 * 1024
    question_seconds: Annotated[float, Field(ge=1)] = 300.0


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How results are scored, cut and counted, and where searches run.

    In PostgreSQL and in OpenSearch a search compares all tools up to `exact_tools`; of more, those nearest and those
    best by words.
    """

    mode: Literal["hybrid", "cosine"] = "hybrid"
    threshold: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    max_results: Annotated[int, Field(ge=1, le=50)] = 5
    answer_tokens: Annotated[int, Field(ge=500)] = 2_500
    detail: Literal["auto", "full", "brief"] = "auto"
    index: Literal["memory", "pgvector", "opensearch"] = "memory"
    index_mib: Annotated[int, Field(ge=1)] = 1_024
    exact_tools: Annotated[int, Field(ge=0)] = 50_000


@dataclass(frozen=True, slots=True)
class OpenSearchSettings:
    """The cluster that searches run in where `search.index` is "opensearch".

    `urls` are nodes of one cluster, asked in turn. Who asks is `username` with `password`, or `api_key`, which is sent
    as `Authorization: ApiKey`. `ca_file` holds the certificates that sign theirs, in PEM form. Names of indexes begin
    with `index_prefix`, each of them with so many `shards`, and `replicas` of each of those.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://localhost:9200",)
    username: str = ""
    password: Secret = field(default="", repr=False)
    api_key: Secret = field(default="", repr=False)
    ca_file: str = ""
    verify: bool = True
    index_prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")] = "modelgate"
    shards: Annotated[int, Field(ge=1, le=1_024)] = 1
    replicas: Annotated[int, Field(ge=0, le=10)] = 1
    timeout_ms: Annotated[int, Field(ge=50)] = 2_000

    @property
    def authorization(self) -> str:
        """The header of that name for a request to the cluster, in UTF-8; empty where nobody signs in."""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        return f"ApiKey {self.api_key}" if self.api_key else f"Basic {pair}" if self.username else ""


@dataclass(frozen=True, slots=True)
class RerankSettings:
    """What puts the best results of a search in a new order, and how long a search waits for it."""

    type: Literal["none", "server", "llm"] = "none"
    base_url: str = ""
    model: str = ""
    api_key: Secret = field(default="", repr=False)
    budget_ms: Annotated[int, Field(ge=1, le=60_000)] = 800


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """What searches learn from the calls that follow them: with "observe" it is counted, and has no effect; "auto" is
    that where the audit log has the text of searches, else "off". An example has effect from the `min_calls`th call or
    the `min_callers`th caller on.
    """

    from_use: Literal["auto", "off", "observe", "on"] = "auto"
    min_calls: Annotated[int, Field(ge=1, le=1_000)] = 3
    min_callers: Annotated[int, Field(ge=1, le=1_000)] = 2


@dataclass(frozen=True, slots=True)
class ExpandSettings:
    """A language model that says what people would ask for who mean a tool, for each that is new or has changed."""

    type: Literal["none", "llm"] = "none"
    base_url: str = ""
    model: str = ""
    api_key: Secret = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Limits towards upstream servers; a server may have its own. A stdio server has `start_timeout_seconds` until its
    first answer, for it may be installed first.

    Progress of a call starts its timeout anew, up to `max_call_seconds` in all. Every `check_every_seconds` each server
    is asked whether it is there, every `sync_every_seconds` for its tools; 0 is never.
    """

    connect_timeout_seconds: Annotated[float, Field(ge=0.1)] = 10.0
    start_timeout_seconds: Annotated[float, Field(ge=0.1)] = 120.0
    list_timeout_seconds: Annotated[float, Field(ge=0.1)] = 30.0
    call_timeout_seconds: Annotated[float, Field(ge=0.1)] = 60.0
    max_call_seconds: Annotated[float, Field(ge=0.1)] = 3600.0
    max_calls_in_flight: Annotated[int, Field(ge=1)] = 32
    failures_before_pause: Annotated[int, Field(ge=1)] = 5
    pause_seconds: Annotated[float, Field(ge=0)] = 30.0
    check_every_seconds: Annotated[float, Field(ge=0)] = 30.0
    sync_every_seconds: Annotated[float, Field(ge=0)] = 3600.0
    max_message_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """How people who run the gateway are let in, and what they may do through its API."""

    public_url: str = ""
    session_hours: Annotated[float, Field(ge=0.1)] = 12.0
    session_idle_minutes: Annotated[float, Field(ge=1)] = 120.0
    allow_stdio: bool = False
    openid_issuer: str = ""
    openid_client_id: str = ""
    openid_client_secret: Secret = field(default="", repr=False)
    openid_scopes: str = "openid profile email"
    openid_claim: str = "groups"
    openid_roles: tuple[str, ...] = ()
    openid_persons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Which registry is searched for servers to add: any that speaks `GET /v0.1/servers`."""

    url: str = "https://registry.modelcontextprotocol.io"


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What upstream servers may be, and what is done about tools that try to instruct the model.

    `commands` are names or absolute paths; empty: any. With them a server is given no variables but harmless ones and
    those of `variables`, where `ACME_*` stands for all that begin so. `allowed_networks` are addresses and networks in
    CIDR form that are open whatever `private_addresses` says, but never those at which clouds hand out credentials.
    """

    commands: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    https_only: bool = False
    private_addresses: Literal["allow", "loopback", "deny"] = "allow"
    allowed_networks: tuple[str, ...] = ()
    poisoning: Literal["flag", "quarantine", "off"] = "flag"


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """How calls wait for a person where rules say so.

    A call waits `wait_seconds` for the decision, longer where its client is shown progress; a person has
    `decide_seconds` from when it was asked, and what they decide holds for `use_seconds`. `webhook_url` is told of what
    waits, signed with `webhook_secret`, and may answer so.
    """

    wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 50.0
    decide_seconds: Annotated[float, Field(ge=1, le=604_800)] = 3600.0
    use_seconds: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    allow_self: bool = False
    webhook_url: str = ""
    webhook_secret: Secret = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What the audit log of calls, searches and changes holds, and for how long.

    `redact_pointers` are JSON pointers into the arguments of calls, `*` for any one step; `redact_patterns` regular
    expressions, in the syntax of RE2, for secrets beside the known kinds.
    """

    fail_closed: bool = False
    retention_days: Annotated[int, Field(ge=0)] = 365
    queue_events: Annotated[int, Field(ge=1)] = 10_000
    queries: Literal["text", "hash"] = "text"
    arguments: bool = True
    argument_bytes: Annotated[int, Field(ge=0)] = 4096
    results: Literal["none", "failed", "all"] = "failed"
    redact_pointers: tuple[str, ...] = ()
    redact_patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Who may read `/metrics`: who has the `token`; without one, whoever asks from this machine itself."""

    token: Secret = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """Where traces of requests are sent, by OTLP over HTTP; an empty `endpoint` is nowhere.

    `sample_ratio` is the share that is kept of traces that begin here; of others' those that they keep.
    """

    endpoint: str = ""
    sample_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01


@dataclass(frozen=True, slots=True)
class OauthSettings:
    """Access tokens of an OpenID provider at /mcp, beside API keys; an empty `issuer` is none.

    `resource` is the public URL of /mcp, taken from the request where empty. `role_map` maps values of `roles_claim` to
    roles of `tenant`, each entry "group=role"; without a mapping the values are names of roles. `default_roles` are for
    everyone who signs in.
    """

    issuer: str = ""
    audience: tuple[str, ...] = ()
    resource: str = ""
    jwks_url: str = ""
    tenant: str = "default"
    roles_claim: str = "groups"
    role_map: tuple[str, ...] = ()
    default_roles: tuple[str, ...] = ()
    clock_skew_seconds: Annotated[float, Field(ge=0.0, le=600.0)] = 60.0
    keys_max_age_seconds: Annotated[float, Field(ge=10)] = 300.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is configured, one section a field."""

    server: ServerSettings = field(default_factory=ServerSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    embedder: EmbedderSettings = field(default_factory=EmbedderSettings)
    mcp: McpSettings = field(default_factory=McpSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    opensearch: OpenSearchSettings = field(default_factory=OpenSearchSettings)
    rerank: RerankSettings = field(default_factory=RerankSettings)
    learn: LearnSettings = field(default_factory=LearnSettings)
    expand: ExpandSettings = field(default_factory=ExpandSettings)
    upstream: UpstreamSettings = field(default_factory=UpstreamSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    oauth: OauthSettings = field(default_factory=OauthSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    guards: GuardSettings = field(default_factory=GuardSettings)
    approval: ApprovalSettings = field(default_factory=ApprovalSettings)
    audit: AuditSettings = field(default_factory=AuditSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)

    @property
    def data_dir(self) -> Path:
        return Path(self.server.data_dir).expanduser().resolve()


@dataclass(frozen=True)
class LoadedSettings(Settings):
    """Settings that were read. `sources` says by section and key, `search.threshold`, where each value was found: a
    file and line, or a variable of the environment; what is not named is the default.
    """

    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
