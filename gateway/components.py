"""The working parts of a gateway, built here, once, and handed to those who need them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.access.caller_authenticator import CallerAuthenticator
from gateway.access.issuer import TokenIssuer
from gateway.access.keys import ApiKeys
from gateway.access.limits import Limiter
from gateway.access.profiles import Profiles
from gateway.access.tokens import AccessTokens
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.review.offerings import Offerings
from gateway.catalog.sealed_texts import SealedTexts
from gateway.catalog.server import Servers
from gateway.catalog.sync.catalog_update import CatalogUpdate
from gateway.catalog.sync.server_sync import ServerSync
from gateway.database.notices import Notices
from gateway.database.pool import Database, open_database
from gateway.embedding.selection import choose_embedder, choose_standby
from gateway.embedding.space_store import SpaceStore
from gateway.embedding.spaces import Spaces
from gateway.metrics import Metrics
from gateway.search.finder import Finder
from gateway.search.index.selection import open_index
from gateway.search.index.tool_index import ToolIndex
from gateway.search.rerank.reranking import Reranking
from gateway.search.rerank.selection import open_reranking
from gateway.search.visible_tools import VisibilityCache
from gateway.settings import OauthSettings, Settings
from gateway.upstream.notifications import UpstreamNotifications
from gateway.upstream.policy import policy_from_settings
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.session import CLIENT_CAPABILITIES
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
    pool: UpstreamPool
    upstream_notifications: UpstreamNotifications
    spaces: Spaces
    visibility: VisibilityCache
    index: ToolIndex
    reranking: Reranking | None
    finder: Finder
    sync: ServerSync
    offerings: Offerings
    recorder: AuditRecorder
    metrics: Metrics


@contextlib.asynccontextmanager
async def open_components(
    settings: Settings, *, connections: int | None = None, embed_seconds: float = math.inf
) -> AsyncIterator[Components]:
    """Build the parts on an open database. `connections` overrides the size of the database pool; vectors that a sync
    has not made after `embed_seconds` are left to a gateway that serves.

    Raises DatabaseError, MigrationError and SettingsError as their parts do.
    """
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(settings, size=connections))
        key, former = settings.server.encryption_key, settings.server.former_encryption_key
        vault = Vault(open_keys(key, former, settings.data_dir))
        await SealedTexts(database, vault).adopt_from_0_1()
        serving = next((record.stored.space for record in await SpaceStore(database).records() if record.active), None)
        embedder = await choose_embedder(settings.embedder, serving)
        notices = Notices(database)
        standby = choose_standby(settings.embedder, embedder)
        spaces = Spaces(database, embedder, settings.embedder, notices, standby)
        stack.push_async_callback(spaces.aclose)
        visibility = VisibilityCache(database, notices)
        index = open_index(settings.search, database, spaces, visibility, notices)
        stack.push_async_callback(index.aclose)
        reranking = open_reranking(settings.rerank)
        if reranking is not None:
            stack.push_async_callback(reranking.aclose)
        notifications = UpstreamNotifications()
        servers = Servers(database, vault, settings.upstream, notices, policy_from_settings(settings.guards))
        stack.push_async_callback(servers.aclose)
        offerings = Offerings(database, settings.guards)
        pool = await stack.enter_async_context(
            UpstreamPool(
                settings.upstream,
                on_list_changed=notifications.notify_list_changed,
                on_notification=notifications.notify,
                on_session=notifications.notify_session,
                capabilities=CLIENT_CAPABILITIES,
            )
        )
        keys = ApiKeys(database, notices)
        profiles = Profiles(database, notices)
        yield Components(
            settings=settings,
            database=database,
            notices=notices,
            keys=keys,
            profiles=profiles,
            caller_authenticator=CallerAuthenticator(
                keys, _tokens(database, notices, settings.oauth), profiles, Limiter(database)
            ),
            vault=vault,
            servers=servers,
            logins=OAuthLogins(servers),
            pool=pool,
            upstream_notifications=notifications,
            spaces=spaces,
            visibility=visibility,
            index=index,
            reranking=reranking,
            finder=Finder(database, spaces, index, settings.search, reranking),
            sync=ServerSync(
                database,
                servers,
                pool,
                CatalogUpdate(database, spaces, settings.guards, embed_seconds),
                offerings,
            ),
            offerings=offerings,
            recorder=await stack.enter_async_context(AuditRecorder(database, settings.audit)),
            metrics=Metrics(),
        )


def _tokens(database: Database, notices: Notices, settings: OauthSettings) -> AccessTokens | None:
    """What takes access tokens of an OpenID provider, None where none is set."""
    if not settings.issuer:
        return None
    issuer = TokenIssuer(settings.issuer, settings.jwks_url, max_age=settings.keys_max_age_seconds)
    return AccessTokens(database, notices, settings, issuer)
