"""Tools, and the search playground."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.playground import PlaygroundAnswer, PlaygroundQuery
from gateway.admin.services.servers.offerings import ApprovedOfferings, OfferingApproval, OfferingView
from gateway.admin.services.servers.review import Approval, StandingFilter, StandingView
from gateway.admin.services.tools.similarity import DuplicateFilter, SimilarFilter
from gateway.admin.services.tools.tool_trials import ToolTrial, TrialResult
from gateway.admin.services.tools.tools import ToolDetail, ToolFilter, ToolPage
from gateway.catalog.similarity.similar_tools import Duplicates, SimilarTool


@operation("GET", "/tools")
async def list_tools(context: RestContext, query: ToolFilter) -> ToolPage:
    """List tools by text, server, category, state, or visibility for a role."""
    return await context.services.tools.list(context.tenant.id, query)


@operation("GET", "/tools/duplicates")
async def list_duplicates(context: RestContext, query: DuplicateFilter) -> Duplicates:
    """List tools that do the same on several servers, for everybody or as far as a role can find them."""
    return await context.services.similarity.duplicates(context.tenant.id, query)


@operation("GET", "/tools/{tool_id}/similar")
async def list_similar_tools(context: RestContext, tool_id: int, query: SimilarFilter) -> tuple[SimilarTool, ...]:
    """List the tools nearest in meaning to one, of all or of those that a role can find."""
    return await context.services.similarity.nearest(context.tenant.id, tool_id, query)


@operation("GET", "/tools/{tool_id}")
async def get_tool(context: RestContext, tool_id: int) -> ToolDetail:
    """Show a tool with its schema, vectors, similar tools, and what each role sees of it."""
    return await context.services.tools.get(context.tenant.id, tool_id)


@operation("POST", "/tools/{tool_id}/call")
async def call_tool(context: RestContext, tool_id: int, body: ToolTrial) -> TrialResult:
    """Call a tool, past all roles."""
    return await context.services.tool_trials.call(context.tenant.id, tool_id, body)


@operation("POST", "/search", write=False)
async def search_tools(context: RestContext, body: PlaygroundQuery) -> PlaygroundAnswer:
    """Search as a role's client would, and show why each tool was found, cut or hidden."""
    return await context.services.playground.search(context.tenant.id, body)


@operation("GET", "/standings")
async def list_standings(context: RestContext, query: StandingFilter) -> tuple[StandingView, ...]:
    """List tools that changed since they were approved, were flagged, or wait in quarantine."""
    return await context.services.review.list(context.tenant.id, query)


@operation("GET", "/tools/{tool_id}/standing")
async def get_standing(context: RestContext, tool_id: int) -> StandingView:
    """Show how a tool stands: what changed since it was approved, and what was found in it."""
    return await context.services.review.get(context.tenant.id, tool_id)


@operation("POST", "/tools/{tool_id}/approve")
async def approve_tool(context: RestContext, tool_id: int, body: Approval) -> StandingView:
    """Approve a tool as it was looked at; 409 where it is another by now."""
    return await context.services.review.approve(context.tenant.id, tool_id, body)


@operation("POST", "/tools/{tool_id}/quarantine")
async def quarantine_tool(context: RestContext, tool_id: int) -> StandingView:
    """Hide a tool from every client until it is approved."""
    return await context.services.review.quarantine(context.tenant.id, tool_id)


@operation("GET", "/offerings")
async def list_offerings(context: RestContext, query: StandingFilter) -> tuple[OfferingView, ...]:
    """List prompts, templates and instructions of servers that changed, were flagged, or are hidden."""
    return await context.services.offerings.list(context.tenant.id, query)


@operation("POST", "/servers/{server_id}/offerings/approve")
async def approve_offering(context: RestContext, server_id: int, body: OfferingApproval) -> ApprovedOfferings:
    """Approve what a server offers beside tools, one of it or all that waits."""
    return await context.services.offerings.approve(context.tenant.id, server_id, body)


OPERATIONS = (
    list_tools,
    list_duplicates,
    list_similar_tools,
    get_tool,
    call_tool,
    search_tools,
    list_standings,
    get_standing,
    approve_tool,
    quarantine_tool,
    list_offerings,
    approve_offering,
)
