"""Tools described in Japanese and Chinese, found by queries in their language at the defaults."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.components import Components, open_components
from gateway.search.request import SearchRequest
from gateway.settings import Settings, load_settings
from tests.support.cluster import Cluster
from tests.support.listed import add_listed
from tests.support.rows import caller_with

CASES = Path(__file__).parents[1] / "cases"
QUERIES = {
    "search_laws": ("法令", "日本の法令", "法令を検索", "法令検索", "日本の法律"),
    "get_weather": ("天気", "天気予報", "東京の天気", "今日の天気を教えて"),
    "send_mail": ("メール", "メールを送る", "メール送信", "電子メールを送信したい"),
    "translate": ("翻訳", "英語に翻訳", "テキスト翻訳", "日本語を英語に翻訳する"),
    "create_invoice": ("請求書", "請求書を作成", "請求書を作りたい", "注文の請求書"),
    "t_weather": ("天气", "天气预报", "查询天气", "北京今天天气怎么样"),
    "t_mail": ("邮件", "电子邮件", "发送邮件", "给张三发一封邮件"),
    "t_screen": ("截图", "屏幕", "屏幕截图", "截取当前屏幕"),
    "t_pdf": ("解析pdf", "PDF", "提取pdf文字", "读取pdf文件"),
    "t_calls": ("函数", "函数调用", "哪些函数调用了它", "谁调用了这个函数"),
    "t_article": ("公众号", "公众号文章", "发布文章", "微信公众号发文"),
}


@pytest.fixture(scope="module")
async def languages_url(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A database with the tools of both languages."""
    name = await cluster.create()
    folder = tmp_path_factory.mktemp("languages")
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(folder),
    }
    async with open_components(load_settings(environ=environ)) as parts:
        for language in ("ja", "zh"):
            tools = json.loads((CASES / f"tools-{language}.json").read_text("utf-8"))
            await add_listed(parts, folder, *tools, name=f"Server {language}")
    yield cluster.url(name)
    await cluster.drop(name)


@pytest.fixture
async def languages(languages_url: str, settings: Settings) -> AsyncIterator[Components]:
    async with open_components(replace(settings, database=replace(settings.database, url=languages_url))) as parts:
        yield parts


@pytest.mark.parametrize("server", [None, "server_ja", "server_zh"])
async def test_every_query_finds_its_tool(languages: Components, server: str | None) -> None:
    caller = await caller_with(languages)
    described = {
        tool["name"]: tool["description"]
        for file in sorted(CASES.glob("tools-[jz][ah].json"))
        for tool in json.loads(file.read_text("utf-8"))
    }
    assert described.keys() == QUERIES.keys()
    missed = []
    for name, queries in QUERIES.items():
        if server is not None and (server == "server_zh") != name.startswith("t_"):
            continue
        for query in (*queries, described[name]):
            outcome = await languages.finder.find(caller, SearchRequest((query,), 5, server=server))
            if name not in [tool.name for tool in outcome.tools]:
                missed.append((name, query))
    assert missed == []
