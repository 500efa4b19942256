"""Plugins in processes of their own: what they answer, and what becomes of those that do not."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.guards.content import GuardedUse
from gateway.guards.guard_chain import ActiveGuard, GuardChain
from gateway.guards.installed_plugins import installed_plugins
from gateway.guards.options import PluginOptions
from gateway.guards.plugin.plugins import Plugins
from gateway.guards.rule import GuardRule, StoredGuardRule
from gateway.masking import MASK
from tests.guards.chains import chain_of
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
USE = GuardedUse(7, (1,), "a key", "tools", 3, "Mail", "mail__send")
RULE = GuardRule("mine", "plugin", "mask", budget_ms=5_000, options={"plugin": "unruly"})

MakeChain = Callable[..., GuardChain]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two installed packages, as a package manager lays them out."""
    folder = tmp_path_factory.mktemp("packages")
    for source, name, point in (
        (Path(__file__).parent / "unruly_plugin.py", "unruly", "unruly = unruly_plugin:make_guard"),
        (ROOT / "examples/guard_plugin/working_hours.py", "hours", "working-hours = working_hours:make_guard"),
    ):
        shutil.copy(source, folder)
        about = folder / f"{name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[modelgate.guards]\n{point}\n")
    return folder


@pytest.fixture
async def make_chain(packages: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MakeChain]:
    monkeypatch.setenv("PYTHONPATH", f"{packages}{os.pathsep}{ROOT}")
    monkeypatch.setenv("MODELGATE_ENCRYPTION_KEY", "kept to itself")
    plugins = Plugins()

    def make(rule: GuardRule = RULE, version: int = 1) -> GuardChain:
        options = PluginOptions(**rule.options)
        guard = plugins.guard(7, StoredGuardRule(1, version, rule), options)
        return chain_of(ActiveGuard(rule, slow=guard, keeps_time=True))

    yield make
    await plugins.aclose()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_it_answers_from_a_process_of_its_own_that_is_used_again_and_knows_nothing_of_the_gateway(
    make_chain: MakeChain,
) -> None:
    chain = make_chain()
    pids = {(await chain.check(USE, "arguments", {})).value["pid"] for _ in range(3)}
    assert len(pids) == 1
    assert os.getpid() not in pids
    refusal = str((await chain.check(USE, "arguments", {"do": "environment"})).refusal)
    assert "PATH" in refusal
    assert "MODELGATE" not in refusal


async def test_one_that_hangs_is_ended_with_all_it_started_and_the_next_call_has_another_process(
    make_chain: MakeChain, tmp_path: Path
) -> None:
    rule = replace(RULE, budget_ms=500, options={"plugin": "unruly", "settings": {"pids": str(tmp_path / "pids")}})
    chain = make_chain(rule)
    assert (await chain.check(USE, "arguments", {})).refusal is None
    outcome = await chain.check(USE, "arguments", {"do": "hang"})
    assert "it took longer than the 500 ms it may" in str(outcome.refusal)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    async def ended() -> bool:
        return not any(map(is_alive, pids))

    await until(ended)
    assert (await chain.check(USE, "arguments", {})).value["pid"] not in pids


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("raise", "its plugin failed; the gateway's log says why"),
        ("exit", "the process of its plugin has ended"),
        ("shout", "its plugin answered with more than 8,388,608 bytes"),
        ("nonsense", "it answered with something that is no verdict"),
    ],
)
async def test_one_that_fails_refuses_or_lets_through_as_the_rule_says(
    make_chain: MakeChain, does: str, said: str
) -> None:
    closed = await make_chain().check(USE, "arguments", {"do": does})
    assert said in str(closed.refusal)
    opened = await make_chain(replace(RULE, fail="open"), version=2).check(USE, "arguments", {"do": does})
    assert (opened.value, opened.refusal) == ({"do": does}, None)


async def test_one_that_does_not_load_says_so_and_is_left_alone_after_a_while(make_chain: MakeChain) -> None:
    chain = make_chain(replace(RULE, options={"plugin": "unruly", "settings": {"broken": True}}))
    for _ in range(5):
        assert "its plugin does not load" in str((await chain.check(USE, "arguments", {})).refusal)
    assert "has failed 5 times" in str((await chain.check(USE, "arguments", {})).refusal)


async def test_the_example_is_a_guard_that_works(make_chain: MakeChain) -> None:
    for hours, refused in (({"from": 0, "until": 24}, False), ({"from": 0, "until": 0}, True)):
        options: dict[str, Any] = {"plugin": "working-hours", "settings": hours}
        chain = make_chain(replace(RULE, options=options), version=hours["until"] + 1)
        outcome = await chain.check(USE, "arguments", {})
        assert (outcome.refusal is not None) is refused
        assert not refused or "mail__send is called from 0 to 0 o'clock only" in str(outcome.refusal)


async def test_what_presidio_finds_is_masked_in_every_text_and_so_is_what_two_of_its_findings_share(
    make_chain: MakeChain, packages: Path
) -> None:
    shutil.copytree(Path(__file__).parent / "presidio_analyzer", packages / "presidio_analyzer", dirs_exist_ok=True)
    settings = {"entities": ["PERSON", "EMAIL_ADDRESS"], "score": 0.6}
    rule = replace(RULE, options={"plugin": "presidio", "settings": settings})
    said = {"to": "Ada Lovelace@example.com", "cc": ["Bob Hope, or Eve"], "id": "AB", "n": 7}
    outcome = await make_chain(rule).check(USE, "arguments", said)
    assert outcome.refusal is None
    assert outcome.value == {"to": MASK, "cc": [f"{MASK}, or Eve"], "id": "AB", "n": 7}
    same = {"to": "nobody", "n": 7}
    assert (await make_chain(rule).check(USE, "arguments", same)).value == same


def test_plugins_that_are_installed_are_known_by_name(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(packages))
    assert set(installed_plugins()) >= {"unruly", "working-hours"}
