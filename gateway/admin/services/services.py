"""All services of the admin side, as the REST API and the pages are handed them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.services.access.admins import AdminService
from gateway.admin.services.access.keys import KeyService
from gateway.admin.services.access.profiles import ProfileService
from gateway.admin.services.access.roles import RoleService
from gateway.admin.services.access.tenants import TenantService
from gateway.admin.services.audit import AuditService
from gateway.admin.services.embedding import EmbeddingService
from gateway.admin.services.overview import OverviewService
from gateway.admin.services.playground import PlaygroundService
from gateway.admin.services.servers.offerings import OfferingService
from gateway.admin.services.servers.review import ReviewService
from gateway.admin.services.servers.servers import ServerService
from gateway.admin.services.servers.syncs import SyncService
from gateway.admin.services.servers.trials import TrialService
from gateway.admin.services.servers.versions import VersionService
from gateway.admin.services.tool_map import ToolMapService
from gateway.admin.services.tools import ToolService
from gateway.admin.services.usage import UsageService


@dataclass(frozen=True, slots=True)
class Services:
    """One service for each noun."""

    admins: AdminService
    audit: AuditService
    authenticator: Authenticator
    embedding: EmbeddingService
    keys: KeyService
    offerings: OfferingService
    overview: OverviewService
    playground: PlaygroundService
    profiles: ProfileService
    review: ReviewService
    roles: RoleService
    servers: ServerService
    syncs: SyncService
    tenants: TenantService
    tool_map: ToolMapService
    tools: ToolService
    trials: TrialService
    usage: UsageService
    versions: VersionService
