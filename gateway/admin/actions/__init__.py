"""What people can do with the gateway: the functions behind both the REST API and the pages."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.admin.actions.admins import AdminActions
from gateway.admin.actions.approvals import ApprovalActions
from gateway.admin.actions.audit import AuditActions
from gateway.admin.actions.embedding import EmbeddingActions
from gateway.admin.actions.keys import KeyActions
from gateway.admin.actions.map import MapActions
from gateway.admin.actions.overview import OverviewActions
from gateway.admin.actions.playground import PlaygroundActions
from gateway.admin.actions.profiles import ProfileActions
from gateway.admin.actions.roles import RoleActions
from gateway.admin.actions.servers import ServerActions
from gateway.admin.actions.syncs import SyncActions
from gateway.admin.actions.tenants import TenantActions
from gateway.admin.actions.tools import ToolActions
from gateway.admin.actions.trials import ServerTrials
from gateway.admin.actions.usage import UsageActions
from gateway.admin.actions.versions import VersionActions
from gateway.admin.people.entrance import Entrance


@dataclass(frozen=True, slots=True)
class Actions:
    """All of them, by noun."""

    entrance: Entrance
    admins: AdminActions
    approvals: ApprovalActions
    audit: AuditActions
    embedding: EmbeddingActions
    keys: KeyActions
    map: MapActions
    overview: OverviewActions
    playground: PlaygroundActions
    profiles: ProfileActions
    roles: RoleActions
    servers: ServerActions
    syncs: SyncActions
    tenants: TenantActions
    tools: ToolActions
    trials: ServerTrials
    usage: UsageActions
    versions: VersionActions
