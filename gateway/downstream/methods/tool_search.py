"""The tool tool_search: finds tools by what they should do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.access.caller import Caller
from gateway.audit.call_log import CallLog
from gateway.downstream.methods.search_answer import AnswerFormat, format_search_answer
from gateway.downstream.methods.tool_arguments import parse_search_arguments
from gateway.downstream.tool_result import error_result, text_result
from gateway.errors import InvalidInputError
from gateway.search.finder import Finder


class ToolSearch:
    """Runs searches and logs them."""

    def __init__(self, finder: Finder, call_log: CallLog, default_results: int, answer_format: AnswerFormat) -> None:
        """`default_results` and `answer_format` hold where a search says nothing else."""
        self._finder = finder
        self._call_log = call_log
        self._default_results = default_results
        self._answer_format = answer_format

    async def call(self, caller: Caller, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of calling tool_search; bad arguments are a result too, with `isError`."""
        async with self._call_log.search(caller) as logged:
            try:
                request, detail = parse_search_arguments(arguments, self._default_results)
                logged.set_queries(request.queries)
                outcome = await self._finder.find(caller, request)
            except InvalidInputError as error:
                logged.set_outcome("invalid", error.message)
                return error_result(error.message)
            logged.set_results(outcome.total_found, [tool.match.tool_id for tool in outcome.tools])
        answer_format = replace(self._answer_format, detail=detail or self._answer_format.detail)
        return text_result(format_search_answer(request, outcome, answer_format))
