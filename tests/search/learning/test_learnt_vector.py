"""What examples make of a tool's vector."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.search.learning.background import background_requests
from gateway.search.learning.learnt_vector import WeightedExample, learn_vector
from gateway.search.ranking import Floats

NOTHING = np.zeros((1, 4), np.float32)


def unit(*numbers: float) -> Floats:
    vector = np.array(numbers, np.float32)
    direction: Floats = (vector / np.linalg.norm(vector)).astype(np.float32)
    return direction


def test_a_tool_is_nearer_to_its_examples_and_keeps_its_length() -> None:
    base, said = 0.9 * unit(1, 0, 0, 0), unit(0, 1, 0, 0)
    learnt = learn_vector(base, [WeightedExample(said, 1.0)], NOTHING)
    assert learnt is not None
    assert learnt.vector @ said > base @ said
    assert np.linalg.norm(learnt.vector) == pytest.approx(np.linalg.norm(base), abs=1e-6)
    assert learnt.correction == 0


def test_an_example_that_counts_more_draws_more() -> None:
    base, one, other = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)
    learnt = learn_vector(base, [WeightedExample(one, 3.0), WeightedExample(other, 1.0)], NOTHING)
    assert learnt is not None
    assert learnt.vector @ one > learnt.vector @ other > 0


def test_an_example_draws_as_much_however_long_its_vector_is() -> None:
    base, one, other = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)
    learnt = learn_vector(base, [WeightedExample(2 * one, 1.0), WeightedExample(other, 1.0)], NOTHING)
    assert learnt is not None
    assert learnt.vector @ one == pytest.approx(learnt.vector @ other)


def test_what_a_tool_gains_over_what_everybody_asks_for_is_taken_from_it() -> None:
    base, said = unit(1, 0, 0, 0), unit(0, 1, 0, 0)
    learnt = learn_vector(base, [WeightedExample(said, 1.0)] * 20, said[None])
    assert learnt is not None
    # A background that asks for nothing else leaves it next to nothing.
    assert learnt.vector @ said - learnt.correction < base @ said + 0.1


def test_a_tool_that_is_called_for_everything_comes_no_nearer_to_anything_than_it_was() -> None:
    random = np.random.default_rng(0)

    def requests(count: int) -> Floats:
        # What people ask for has something in common, as it has with any model.
        vectors = random.normal(size=(count, 64)) + 2 * np.eye(64)[0]
        together: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return together

    base = requests(1)[0]
    learnt = learn_vector(base, [WeightedExample(each, 1.0) for each in requests(50)], requests(200))
    assert learnt is not None
    others = requests(1_000)
    gained = others @ learnt.vector - learnt.correction - others @ base
    assert gained.mean() < 0
    assert np.quantile(gained, 0.9) < 0.05


@pytest.mark.parametrize("vectors", [[], [unit(0, 1, 0, 0), unit(0, -1, 0, 0)]])
def test_examples_that_say_nothing_leave_a_tool_as_it_is(vectors: list[Floats]) -> None:
    assert learn_vector(unit(1, 0, 0, 0), [WeightedExample(each, 1.0) for each in vectors], NOTHING) is None


def test_a_tool_without_a_direction_learns_none() -> None:
    assert learn_vector(NOTHING[0], [WeightedExample(unit(0, 1, 0, 0), 1.0)], NOTHING) is None


def test_the_background_is_some_two_hundred_requests_all_of_them_different() -> None:
    requests = background_requests()
    assert len(requests) == len(set(requests)) == 200
