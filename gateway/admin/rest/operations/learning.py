"""What people say when they mean a tool, and what searches have learnt from the calls that followed them."""

from __future__ import annotations

from gateway.admin.rest.operation import RestContext, operation
from gateway.admin.services.learning import ForgetInput, Forgotten, LearningReport, LearningStatus
from gateway.admin.services.tools.examples import ExampleInput, ToolExamplesView


@operation("GET", "/tools/{tool_id}/examples", write=True)
async def list_examples(context: RestContext, tool_id: int) -> ToolExamplesView:
    """List what people and agents say when they mean a tool."""
    return await context.services.examples.list(context.tenant.id, tool_id)


@operation("POST", "/tools/{tool_id}/examples")
async def add_example(context: RestContext, tool_id: int, body: ExampleInput) -> ToolExamplesView:
    """Say what people ask for when they mean a tool; the next search finds it by that."""
    return await context.services.examples.add(context.tenant.id, tool_id, body)


@operation("POST", "/tools/{tool_id}/examples/{example_id}/approve")
async def approve_example(context: RestContext, tool_id: int, example_id: int) -> ToolExamplesView:
    """Say that an example that was learnt from use is meant."""
    return await context.services.examples.approve(context.tenant.id, tool_id, example_id)


@operation("DELETE", "/tools/{tool_id}/examples/{example_id}")
async def remove_example(context: RestContext, tool_id: int, example_id: int) -> None:
    """Take an example away; one that was learnt from use is not learnt again."""
    await context.services.examples.remove(context.tenant.id, tool_id, example_id)


@operation("GET", "/learning")
async def get_learning(context: RestContext) -> LearningStatus:
    """Show what searches have learnt, from what, and what has effect."""
    return await context.services.learning.status(context.tenant.id)


@operation("GET", "/learning/report", write=True)
async def report_learning(context: RestContext) -> LearningReport:
    """Show what learning from use changes, or would change, in what was searched for and called in the last week."""
    return await context.services.learning.report(context.tenant.id)


@operation("POST", "/learning/forget")
async def forget_learning(context: RestContext, body: ForgetInput) -> Forgotten:
    """Forget what was learnt from use, for good; the next search goes without it."""
    return await context.services.learning.forget(context.tenant.id, body)


OPERATIONS = (
    list_examples,
    add_example,
    approve_example,
    remove_example,
    get_learning,
    report_learning,
    forget_learning,
)
