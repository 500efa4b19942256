"""The working parts of a gateway that its admin side needs, as whoever builds it hands them over."""

from __future__ import annotations

from typing import Protocol

from gateway.access.keys import ApiKeys
from gateway.audit.recorder import AuditRecorder
from gateway.catalog.oauth_logins import OAuthLogins
from gateway.catalog.server import Servers
from gateway.catalog.sync.server_sync import ServerSync
from gateway.database.pool import Database
from gateway.embedding.spaces import Spaces
from gateway.search.catalog_statistics import CatalogStatistics
from gateway.search.finder import Finder
from gateway.search.request import SearchOutcome, SearchRequest
from gateway.settings import Settings
from gateway.upstream.pool import UpstreamPool


class Parts(Protocol):
    """What is there once a gateway is built."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def keys(self) -> ApiKeys: ...
    @property
    def servers(self) -> Servers: ...
    @property
    def pool(self) -> UpstreamPool: ...
    @property
    def spaces(self) -> Spaces: ...
    @property
    def statistics(self) -> CatalogStatistics: ...
    @property
    def finder(self) -> Finder: ...
    @property
    def logins(self) -> OAuthLogins: ...
    @property
    def recorder(self) -> AuditRecorder: ...
    @property
    def sync(self) -> ServerSync: ...


class ClientAnswer(Protocol):
    """The answer of a search as the JSON text that a client gets."""

    def __call__(self, request: SearchRequest, outcome: SearchOutcome) -> str: ...
