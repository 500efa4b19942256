"""The working parts of a gateway, built here, once, and handed to those who need them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.access.connections.caller_requests import CallerRequests
from gateway.access.connections.connections import Connections
from gateway.access.connections.header import HeaderSource
from gateway.access.connections.links import ConnectionLinks
from gateway.access.connections.oauth.token_sources import TokenSources
from gateway.access.connections.personal_credentials import PersonalCredentials
from gateway.access.connections.secret import SecretSource
from gateway.access.connections.source import CredentialSource
from gateway.access.issuer import TokenIssuer
from gateway.access.keys import ApiKeys
from gateway.access.limits import Limiter
from gateway.access.persons import Persons
from gateway.access.profiles import Profiles
from gateway.access.tokens import AccessTokens
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.category_proposal import CategoryProposals
from gateway.catalog.examples.tool_examples import ToolExamples
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.secrets.sealed_texts import SealedTexts
from gateway.catalog.servers.server import Servers
from gateway.catalog.sync.catalog_update import CatalogUpdate
from gateway.catalog.sync.server_sync import ServerSync
from gateway.cluster.cluster import Cluster, build_cluster
from gateway.cluster.shared_key_counts import SharedKeyCounts
from gateway.cluster.upstreams.cluster_pool import ClusterPool
from gateway.cluster.upstreams.sealed_credentials import SealedCredentials
from gateway.database.notices import Notices
from gateway.database.pool import Database, open_database
from gateway.embedding.spaces.spaces import Spaces
from gateway.guards.approval.approval_watch import ApprovalWatch
from gateway.guards.approval.approval_webhook import ApprovalWebhook
from gateway.guards.approval.call_approvals import CallApprovals
from gateway.guards.guards import Guards
from gateway.guards.open_guards import open_guards
from gateway.search.finder import Finder
from gateway.search.index.index_factory import SearchCluster
from gateway.search.index.tool_index import ToolIndex
from gateway.search.index.warm_up import WarmUp
from gateway.search.learning.example_vectors import ExampleVectors
from gateway.search.learning.example_weight import ExampleRules, example_rules
from gateway.search.learning.expansion import Expansion, open_expansion
from gateway.search.learning.learner import Learner
from gateway.search.learning.usage.cluster_searches import ClusterSearches
from gateway.search.learning.usage.pair_recorder import PairRecorder
from gateway.search.learning.usage.pair_store import PairStore
from gateway.search.learning.usage.recent_searches import RecentSearches
from gateway.search.learning.usage.use_learning import UseLearning
from gateway.search.rerank.reranking import Reranking
from gateway.search.search_parts import open_search
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import OauthSettings, Settings, TracingSettings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing import Tracing
from gateway.telemetry.tracing.otlp import open_otlp_tracer
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.policy import policy_from_settings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.sessions.session import CLIENT_CAPABILITIES
from gateway.vault import Vault, open_keys


@dataclass(frozen=True, slots=True)
class Components:
    """The working parts of a gateway, for its routes and for the command line alike."""

    settings: Settings
    database: Database
    notices: Notices
    keys: ApiKeys
    profiles: Profiles
    caller_authenticator: CallerAuthenticator
    vault: Vault
    servers: Servers
    logins: OAuthLogins
    persons: Persons
    connections: Connections
    personal_credentials: PersonalCredentials
    token_sources: TokenSources
    caller_requests: CallerRequests
    connection_links: ConnectionLinks
    pool: UpstreamPool
    upstream_notifications: UpstreamNotifications
    own_notifications: UpstreamNotifications
    cluster: Cluster | None
    spaces: Spaces
    visibility: VisibilityCache
    index: ToolIndex
    search_cluster: SearchCluster | None
    warm_up: WarmUp | None
    reranking: Reranking | None
    finder: Finder
    guards: Guards
    examples: ToolExamples
    learner: Learner
    use_learning: UseLearning | None
    expansion: Expansion | None
    sync: ServerSync
    categories: CategoryProposals
    offerings: Offerings
    recorder: AuditRecorder
    metrics: Metrics
    tracing: Tracing
    approvals: CallApprovals
    approval_watch: ApprovalWatch
    approval_webhook: ApprovalWebhook


@contextlib.asynccontextmanager
async def open_components(
    settings: Settings,
    *,
    connections: int | None = None,
    embed_seconds: float = math.inf,
    clustered: bool = False,
) -> AsyncIterator[Components]:
    """Build the parts on an open database. `connections` overrides the size of the database pool; vectors that a sync
    has not made after `embed_seconds` are left to a gateway that serves. One that does is `clustered`: it shares
    servers, sessions and limits with the others on its database.

    Raises DatabaseError, MigrationError and SettingsError as their parts do.
    """
    async with contextlib.AsyncExitStack() as stack:
        metrics = Metrics()
        tracing = _open_tracing(settings.tracing)
        stack.push_async_callback(asyncio.to_thread, tracing.shutdown)
        database = await stack.enter_async_context(
            open_database(settings, size=connections, on_wait=metrics.observe_database_wait)
        )
        key, former = settings.server.encryption_key, settings.server.former_encryption_key
        vault = Vault(open_keys(key, former, settings.data_dir))
        await SealedTexts(database, vault).adopt_from_0_1()
        notices = Notices(database)
        search = await stack.enter_async_context(open_search(settings, database, notices, metrics))
        spaces = search.spaces
        notifications, own_notifications = UpstreamNotifications(), UpstreamNotifications()
        own_notifications.subscribe(notifications.notify)
        own_notifications.subscribe_sessions(notifications.notify_session)
        policy = policy_from_settings(settings.guards)
        servers = Servers(database, vault, settings.upstream, notices, policy)
        stack.push_async_callback(servers.aclose)
        persons, connected = Persons(database, notices), Connections(database, vault, notices)
        token_sources = TokenSources(database, vault, persons, connected, settings, policy)
        stack.push_async_callback(token_sources.aclose)
        offerings = Offerings(database, settings.guards)
        categories = CategoryProposals()
        cluster = build_cluster(settings.cluster, database, vault) if clustered else None
        if cluster is None:
            pool = UpstreamPool(
                settings.upstream,
                on_list_changed=own_notifications.notify_list_changed,
                on_notification=own_notifications.notify,
                on_session=own_notifications.notify_session,
                capabilities=CLIENT_CAPABILITIES,
            )
        else:
            pool = ClusterPool(
                settings.upstream,
                cluster,
                servers.spec,
                own_notifications,
                notifications,
                CLIENT_CAPABILITIES,
                SealedCredentials(vault),
                tracing,
            )
        await stack.enter_async_context(pool)
        sources: dict[str, CredentialSource] = {
            "secret": SecretSource(connected),
            "header": HeaderSource(),
            **token_sources.by_kind,
        }
        personal_credentials = PersonalCredentials(persons, connected, sources)
        caller_requests = CallerRequests(pool, personal_credentials)
        rules = example_rules(settings)
        learner = Learner(database, spaces, rules)
        expansion = open_expansion(settings.expand, database, learner)
        if expansion is not None:
            stack.push_async_callback(expansion.aclose)
        keys = ApiKeys(database, notices)
        profiles = Profiles(database, notices)
        approval_webhook = ApprovalWebhook(settings.approval, settings.admin.public_url)
        stack.push_async_callback(approval_webhook.aclose)
        policy = policy_from_settings(settings.guards)
        guards = await stack.enter_async_context(open_guards(database, vault, policy, metrics, notices))
        yield Components(
            settings=settings,
            database=database,
            notices=notices,
            keys=keys,
            profiles=profiles,
            caller_authenticator=CallerAuthenticator(
                keys,
                _tokens(database, notices, settings.oauth),
                profiles,
                Limiter(database, counts=_key_counts(cluster)),
            ),
            vault=vault,
            servers=servers,
            logins=OAuthLogins(servers),
            persons=persons,
            connections=connected,
            personal_credentials=personal_credentials,
            token_sources=token_sources,
            caller_requests=caller_requests,
            connection_links=ConnectionLinks(database),
            pool=pool,
            upstream_notifications=notifications,
            own_notifications=own_notifications,
            cluster=cluster,
            spaces=spaces,
            visibility=search.visibility,
            index=search.index,
            search_cluster=search.cluster,
            warm_up=search.warm_up,
            reranking=search.reranking,
            finder=search.finder,
            guards=guards,
            examples=ToolExamples(database),
            learner=learner,
            expansion=expansion,
            use_learning=await _open_use_learning(stack, settings, database, spaces, learner, rules, cluster),
            sync=ServerSync(
                database,
                servers,
                pool,
                caller_requests,
                CatalogUpdate(database, spaces, categories, settings.guards, embed_seconds),
                offerings,
                metrics,
            ),
            categories=categories,
            offerings=offerings,
            recorder=await stack.enter_async_context(AuditRecorder(database, settings.audit)),
            metrics=metrics,
            tracing=tracing,
            approvals=CallApprovals(database, vault, settings.approval),
            approval_watch=ApprovalWatch(notices),
            approval_webhook=approval_webhook,
        )


def _open_tracing(settings: TracingSettings) -> Tracing:
    """What traces requests; without an endpoint it only passes on what others say of their traces."""
    if not settings.endpoint:
        return Tracing()
    return Tracing(open_otlp_tracer(settings.endpoint, settings.sample_ratio))


async def _open_use_learning(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    database: Database,
    spaces: Spaces,
    learner: Learner,
    rules: ExampleRules,
    cluster: Cluster | None,
) -> UseLearning | None:
    """What learns from calls, None where nothing does."""
    if rules.from_use == "off":
        return None
    recorder = PairRecorder(PairStore(database, rules), ExampleVectors(database, spaces), learner, spaces)
    await stack.enter_async_context(recorder)
    searches = RecentSearches()
    # Left before the recorder, which counts what is found out until then.
    others = () if cluster is None else (cluster.membership, cluster.hop)
    calls = await stack.enter_async_context(ClusterSearches(searches, *others))
    return UseLearning(recorder, searches, calls)


def _key_counts(cluster: Cluster | None) -> SharedKeyCounts:
    return SharedKeyCounts() if cluster is None else SharedKeyCounts(cluster.membership, cluster.hop)


def _tokens(database: Database, notices: Notices, settings: OauthSettings) -> AccessTokens | None:
    """What takes access tokens of an OpenID provider, None where none is set."""
    if not settings.issuer:
        return None
    issuer = TokenIssuer(settings.issuer, settings.jwks_url, max_age=settings.keys_max_age_seconds)
    return AccessTokens(database, notices, settings, issuer)
