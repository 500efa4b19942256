"""All services of the admin side, as the REST API and the pages are handed them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.admin.accounts.authenticator import Authenticator
from gateway.admin.services.access.admins import AdminService
from gateway.admin.services.access.keys import KeyService
from gateway.admin.services.access.profiles import ProfileService
from gateway.admin.services.access.roles import RoleService
from gateway.admin.services.access.tenants import TenantService
from gateway.admin.services.approvals import ApprovalService
from gateway.admin.services.audit import AuditService
from gateway.admin.services.calls import CallService
from gateway.admin.services.configuration import ConfigurationService
from gateway.admin.services.connections import ConnectionService
from gateway.admin.services.embedding.embedding import EmbeddingService
from gateway.admin.services.embedding.models import ModelService
from gateway.admin.services.embedding.space_comparison import SpaceComparisonService
from gateway.admin.services.gateway_log import GatewayLogService
from gateway.admin.services.guards import GuardService
from gateway.admin.services.learning import LearningService
from gateway.admin.services.nearest_tools import NearestTools
from gateway.admin.services.overview import OverviewService
from gateway.admin.services.playground import PlaygroundService
from gateway.admin.services.search_index import SearchIndexService
from gateway.admin.services.servers.health import ServerHealthService
from gateway.admin.services.servers.offerings import OfferingService
from gateway.admin.services.servers.registry import RegistryService
from gateway.admin.services.servers.review import ReviewService
from gateway.admin.services.servers.servers import ServerService
from gateway.admin.services.servers.syncs import SyncService
from gateway.admin.services.servers.trials import TrialService
from gateway.admin.services.servers.versions import VersionService
from gateway.admin.services.tools.examples import ExampleService
from gateway.admin.services.tools.overrides import OverrideService
from gateway.admin.services.tools.similarity import SimilarityService
from gateway.admin.services.tools.tool_map import ToolMapService
from gateway.admin.services.tools.tool_trials import ToolTrialService
from gateway.admin.services.tools.tools import ToolService
from gateway.admin.services.usage import UsageService


@dataclass(frozen=True, slots=True)
class Services:
    """One service for each noun."""

    admins: AdminService
    approvals: ApprovalService
    audit: AuditService
    authenticator: Authenticator
    calls: CallService
    configuration: ConfigurationService
    connections: ConnectionService
    embedding: EmbeddingService
    examples: ExampleService
    gateway_log: GatewayLogService
    guards: GuardService
    keys: KeyService
    learning: LearningService
    models: ModelService
    nearest_tools: NearestTools
    offerings: OfferingService
    overrides: OverrideService
    overview: OverviewService
    playground: PlaygroundService
    profiles: ProfileService
    registry: RegistryService
    review: ReviewService
    roles: RoleService
    search_index: SearchIndexService
    server_health: ServerHealthService
    servers: ServerService
    similarity: SimilarityService
    space_comparison: SpaceComparisonService
    syncs: SyncService
    tenants: TenantService
    tool_map: ToolMapService
    tool_trials: ToolTrialService
    tools: ToolService
    trials: TrialService
    usage: UsageService
    versions: VersionService
