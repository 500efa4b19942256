from __future__ import annotations

import pytest

from gateway.search.query.clauses import clauses_of


@pytest.mark.parametrize(
    ("query", "clauses"),
    [
        ("create an issue", ()),
        ("", ()),
        ("read the file, then send it by mail", ("read the file", "send it by mail")),
        (
            "Find a flight. Book a hotel! Which museums are open?",
            ("Find a flight", "Book a hotel", "Which museums are open"),
        ),
        ("search papers and then summarise them and translate", ("search papers", "summarise them")),
        ("create an issue\nsend an email", ("create an issue", "send an email")),
        ("1. create an issue\r\n2. send an email\n\n- tell Bob.", ("create an issue", "send an email", "tell Bob")),
        ("法令を検索して、メールを送る。", ("法令を検索して", "メールを送る")),
        ("搜索论文，然后翻译", ("搜索论文", "然后翻译")),
        ("이메일을 보내고, 파일을 읽어", ("이메일을 보내고", "파일을 읽어")),
        ("法令を検索する。", ()),
        # Version numbers and names with dots stay whole.
        ("upgrade node.js to 20.1 and run the tests", ("upgrade node.js to 20.1", "run the tests")),
    ],
)
def test_a_task_is_taken_apart_where_a_step_ends(query: str, clauses: tuple[str, ...]) -> None:
    assert clauses_of(query) == clauses


def test_there_are_at_most_eight() -> None:
    assert len(clauses_of(". ".join(f"do thing {number}" for number in range(20)))) == 8
