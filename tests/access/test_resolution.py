"""Rules resolved in SQL, against a reference that is written here from the words of the design."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.database.queries import statement
from tests.support.cluster import Cluster
from tests.support.thoroughness import cases

_ORDER = ("DENY", "SEARCH", "ALLOW")
_SERVERS = ("github", "jira")
_CATEGORIES = ("git", "other")
_TOOLS = (
    ("github", "create_issue", "git"),
    ("github", "delete_repo", "git"),
    ("github", "DeleteBranch", "other"),
    ("jira", "create_issue", "other"),
    ("jira", "100%_done", "other"),
)
_PATTERNS = ("*", "github__*", "*delete*", "*_issue", "jira__create_issue", "GITHUB__*", "*%*", "git_ub__*", "*b__*e*")


@dataclass(frozen=True)
class Rule:
    kind: str
    value: str
    visibility: str


@dataclass(frozen=True)
class RuleSet:
    default: str
    rules: tuple[Rule, ...] = ()
    list_mode: str | None = None


@dataclass
class Seen:
    """What one caller gets: tools listed and tools that can be found, by position."""

    listed: set[int] = field(default_factory=set)
    found: set[int] = field(default_factory=set)


def exposed(tool: tuple[str, str, str]) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", f"{tool[0]}__{tool[1]}")


def applies(rule: Rule, tool: tuple[str, str, str]) -> bool:
    if rule.kind == "tool":
        return rule.value == exposed(tool)
    if rule.kind == "server":
        return rule.value == tool[0]
    if rule.kind == "category":
        return rule.value == tool[2]
    pieces = [re.escape(piece) for piece in rule.value.lower().split("*")]
    return re.fullmatch(".*".join(pieces), exposed(tool).lower()) is not None


def decided(role: RuleSet, tool: tuple[str, str, str]) -> tuple[str, bool]:
    """What a role says of a tool, and whether that is an explicit denial."""
    rules = [rule for rule in role.rules if applies(rule, tool)]
    for kind in ("tool", "pattern", "server", "category"):
        of_kind = [rule for rule in rules if rule.kind == kind]
        if of_kind:
            longest = max(len(rule.value) for rule in of_kind) if kind == "pattern" else 0
            said = [rule.visibility for rule in of_kind if kind != "pattern" or len(rule.value) == longest]
            result = min(said, key=_ORDER.index)
            return result, result == "DENY" and kind in ("tool", "pattern")
    return role.default, False


def reference(roles: list[RuleSet], profile: RuleSet | None) -> Seen:
    seen = Seen()
    for position, tool in enumerate(_TOOLS):
        said = [decided(role, tool) for role in roles]
        best = "DENY" if any(explicit for _, explicit in said) else max((v for v, _ in said), key=_ORDER.index)
        inside = "ALLOW" if profile is None else decided(profile, tool)[0]
        if best == "DENY" or inside == "DENY":
            continue
        seen.found.add(position)
        if profile is None:
            listed = best == "ALLOW"
        else:
            listed = profile.list_mode == "all" or (profile.list_mode == "chosen" and inside == "ALLOW")
        if listed:
            seen.listed.add(position)
    return seen


_visibility = st.sampled_from(_ORDER)
_rule = st.one_of(
    st.builds(Rule, st.just("tool"), st.sampled_from([exposed(tool) for tool in _TOOLS]), _visibility),
    st.builds(Rule, st.just("pattern"), st.sampled_from(_PATTERNS), _visibility),
    st.builds(Rule, st.just("server"), st.sampled_from(_SERVERS), _visibility),
    st.builds(Rule, st.just("category"), st.sampled_from(_CATEGORIES), _visibility),
)
_rules = st.lists(_rule, max_size=8, unique_by=lambda rule: (rule.kind, rule.value)).map(tuple)
_role = st.builds(RuleSet, _visibility, _rules)
_profile = st.builds(RuleSet, st.just("DENY"), _rules, st.sampled_from(("search", "all", "chosen")))
_case = st.tuples(st.lists(_role, min_size=1, max_size=3), st.none() | _profile)


class Resolved:
    """One database connection with the tools in it; every case is resolved in a transaction that is undone."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection
        self._servers: dict[str, int] = {}
        self._tools: list[int] = []
        self._calls = 0

    async def fill(self) -> None:
        for server in _SERVERS:
            self._servers[server] = await self._connection.fetchval(
                "INSERT INTO servers (tenant_id, name, slug, transport, url) VALUES (1, $1, $1, 'http', 'http://x') "
                "RETURNING id",
                server,
            )
        for tool in _TOOLS:
            self._tools.append(
                await self._connection.fetchval(
                    "INSERT INTO tools (tenant_id, server_id, name, exposed_name, category, definition, content_hash) "
                    "VALUES (1, $1, $2, $3, $4, '{}', '') RETURNING id",
                    self._servers[tool[0]],
                    tool[1],
                    exposed(tool),
                    tool[2],
                )
            )

    async def seen(self, roles: list[RuleSet], profile: RuleSet | None) -> Seen:
        """What the statements that serve clients say, each of them, which have to agree."""
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            ids = [await self._store(f"role{number}", role) for number, role in enumerate(roles)]
            if profile is not None:
                ids.append(await self._store("profile", profile))
            await self._connection.execute(statement("refresh_role_tools"), 1, None, None)
            positions = {tool_id: position for position, tool_id in enumerate(self._tools)}
            listed = await self._connection.fetch(statement("listed_tools"), 1, ids)
            visible = await self._connection.fetchrow(statement("visible_tool_positions"), 1, ids)
            assert visible is not None
            shown = await self._connection.fetch(statement("result_tools"), 1, ids, self._tools)
            self._calls += 1
            asked = self._calls % len(_TOOLS)
            (named,) = await self._connection.fetch(
                statement("tools_by_name"), 1, ids, exposed(_TOOLS[asked]), None, None
            )
            found = set(visible["positions"])
            assert {positions[row["id"]] for row in shown} == found
            assert (named["visibility"] is not None) == (asked in found)
            return Seen({positions[row["id"]] for row in listed}, found)
        finally:
            await transaction.rollback()

    async def _store(self, name: str, role: RuleSet) -> int:
        role_id: int = await self._connection.fetchval(
            statement("insert_role"), 1, name, "", role.default, role.list_mode
        )
        names = {exposed(tool): tool_id for tool, tool_id in zip(_TOOLS, self._tools, strict=True)}
        await self._connection.executemany(
            statement("upsert_rule"),
            [
                (
                    1,
                    role_id,
                    names[rule.value] if rule.kind == "tool" else None,
                    rule.value if rule.kind == "pattern" else None,
                    self._servers[rule.value] if rule.kind == "server" else None,
                    rule.value if rule.kind == "category" else None,
                    rule.visibility,
                )
                for rule in role.rules
            ],
        )
        return role_id


def test_every_rule_set_is_resolved_as_the_reference_resolves_it(cluster: Cluster) -> None:
    # Hypothesis calls its test anew for each case, so the connection needs a loop that outlives a case.
    loop = asyncio.new_event_loop()
    try:
        name = loop.run_until_complete(cluster.create())
        connection = loop.run_until_complete(asyncpg.connect(cluster.url(name), server_settings={"jit": "off"}))
        resolved = Resolved(connection)
        loop.run_until_complete(resolved.fill())

        @settings(max_examples=cases(150, 1_000), deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(_case)
        def agrees(case: tuple[list[RuleSet], RuleSet | None]) -> None:
            roles, profile = case
            assert loop.run_until_complete(resolved.seen(roles, profile)) == reference(roles, profile)

        try:
            agrees()
        finally:
            loop.run_until_complete(connection.close())
            loop.run_until_complete(cluster.drop(name))
    finally:
        loop.close()
