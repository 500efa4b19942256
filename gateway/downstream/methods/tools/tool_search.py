"""The tool tool_search: finds tools by what they should do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from cachetools import LRUCache

from gateway.access.connections.needs import ConnectionNeeds
from gateway.audit.call_log import CallLog
from gateway.downstream.client_request import ClientRequest
from gateway.downstream.methods.tools.search_answer import AnswerFormat, Detail, format_search_answer
from gateway.downstream.methods.tools.tool_arguments import parse_search_arguments
from gateway.downstream.tool_result import error_result, text_result
from gateway.errors import InvalidInputError
from gateway.search.finder import Finder
from gateway.search.learning.usage.use_learning import UseLearning
from gateway.search.request import SearchOutcome, SearchRequest

_MAX_TEXTS = 1_000

_TextKey: TypeAlias = "tuple[SearchRequest, Detail, frozenset[str]]"


class ToolSearch:
    """Runs searches and logs them."""

    def __init__(
        self,
        finder: Finder,
        call_log: CallLog,
        needs: ConnectionNeeds,
        default_results: int,
        answer_format: AnswerFormat,
        learning: UseLearning | None = None,
    ) -> None:
        """`default_results` and `answer_format` hold where a search says nothing else; `learning` is told what was
        found."""
        self._needs = needs
        self._finder = finder
        self._call_log = call_log
        self._default_results = default_results
        self._answer_format = answer_format
        self._learning = learning
        self._texts: LRUCache[_TextKey, tuple[SearchOutcome, str]] = LRUCache(_MAX_TEXTS)

    async def call(self, request: ClientRequest, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of calling tool_search; bad arguments are a result too, with `isError`."""
        caller = request.caller
        async with self._call_log.search(caller) as logged:
            try:
                asked, detail = parse_search_arguments(arguments, self._default_results)
                logged.set_queries(asked.queries)
                outcome = await self._finder.find(caller, asked)
                unconnected = await self._needs.unconnected_servers(caller)
            except InvalidInputError as error:
                logged.set_outcome("invalid", error.message)
                return error_result(error.message)
            logged.set_results(outcome.total_found, [tool.match.tool_id for tool in outcome.tools])
            if self._learning is not None:
                self._learning.record_search(caller, request.upstream_session_key, asked.queries, outcome)
        return text_result(self._format(asked, outcome, detail or self._answer_format.detail, unconnected))

    def _format(
        self, request: SearchRequest, outcome: SearchOutcome, detail: Detail, unconnected: frozenset[str]
    ) -> str:
        """The answer, written once for each outcome: the finder hands out the same one while nothing has changed."""
        kept = self._texts.get((request, detail, unconnected))
        if kept is not None and kept[0] is outcome:
            return kept[1]
        text = format_search_answer(request, outcome, replace(self._answer_format, detail=detail), unconnected)
        self._texts[request, detail, unconnected] = outcome, text
        return text
