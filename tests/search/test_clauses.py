from __future__ import annotations

import pytest

from gateway.search.clauses import clauses_of


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
        # Version numbers and names with dots stay whole.
        ("upgrade node.js to 20.1 and run the tests", ("upgrade node.js to 20.1", "run the tests")),
    ],
)
def test_a_task_is_taken_apart_where_a_step_ends(query: str, clauses: tuple[str, ...]) -> None:
    assert clauses_of(query) == clauses


def test_there_are_at_most_eight() -> None:
    assert len(clauses_of(". ".join(f"do thing {number}" for number in range(20)))) == 8
