from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.embedding.builtin import StaticModel, load_static_model
from gateway.search.calibration import Calibration, calibrate

Array = NDArray[np.float32]

TOOLS = (
    ("calculator", "Perform mathematical calculations"),
    ("get weather", "Get the current weather for a location"),
    ("get system info", "Get information about the operating system, CPU, memory and disk"),
    ("search files", "Search for files by name pattern"),
)


def unit(vectors: NDArray[Any]) -> Array:
    scaled: Array = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def catalogue(tools: int, *, pull: float = 0.0, dimensions: int = 64, seed: int = 7) -> tuple[Array, Array, Array]:
    """Names and descriptions that share a direction for each tool, all pulled towards one direction by `pull`."""
    random = np.random.default_rng(seed)
    meaning, common = random.normal(size=(tools, dimensions)), random.normal(size=dimensions) * pull
    names, descriptions = (meaning + random.normal(size=meaning.shape) + common for _ in range(2))
    return unit(names), unit(descriptions), unit(names + descriptions)


@pytest.fixture(scope="module")
def model() -> StaticModel:
    return load_static_model()


def test_an_empty_catalogue_gives_the_assumed_values() -> None:
    empty = np.empty((0, 64), dtype=np.float32)
    assert calibrate(empty, empty, empty) == Calibration()


def test_the_same_vectors_give_the_same_calibration() -> None:
    assert calibrate(*catalogue(700)) == calibrate(*catalogue(700))


@pytest.mark.parametrize("pull", [0.0, 1.0, 2.0])
def test_the_mean_of_unrelated_texts_is_found_in_spaces_of_every_kind(pull: float) -> None:
    names, descriptions, combined = catalogue(300, pull=pull)
    unrelated = (names @ descriptions.T)[~np.eye(300, dtype=bool)]
    calibration = calibrate(names, descriptions, combined)
    assert calibration.description_mean == pytest.approx(float(unrelated.mean()), abs=0.01)
    assert 0.4 * float(unrelated.std()) < calibration.unit < 1.8 * float(unrelated.std())


def test_a_large_catalogue_is_calibrated_like_a_sample_of_it() -> None:
    large, small = calibrate(*catalogue(4_000)), calibrate(*catalogue(500))
    for name, value in asdict(large).items():
        assert value == pytest.approx(asdict(small)[name], abs=0.02)


def test_a_tool_that_many_servers_offer_counts_once() -> None:
    kinds = catalogue(60)
    once, often = calibrate(*kinds), calibrate(*(np.repeat(vectors, 5, axis=0) for vectors in kinds))
    for name, value in asdict(once).items():
        assert asdict(often)[name] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_tools_without_vectors_are_left_out(nothing: float) -> None:
    names, descriptions, combined = catalogue(40)
    holed = descriptions.copy()
    holed[30:] = nothing
    assert calibrate(names, holed, combined) == calibrate(names[:30], descriptions[:30], combined[:30])


def test_a_catalogue_of_one_tool_on_every_server_is_calibrated_like_one_tool() -> None:
    kinds = catalogue(1)
    assert calibrate(*(np.repeat(vectors, 9, axis=0) for vectors in kinds)) == calibrate(*kinds)


@pytest.mark.parametrize("tools", [1, 2, 4])
@pytest.mark.parametrize("pull", [0.0, 2.0])
def test_a_tiny_catalogue_still_tells_unrelated_from_related(tools: int, pull: float) -> None:
    names, descriptions, combined = catalogue(300, pull=pull)
    calibration = calibrate(names[:tools], descriptions[:tools], combined[:tools])
    unrelated = float(np.median((names @ descriptions.T)[~np.eye(300, dtype=bool)]))
    related = float(np.median(np.sum(names * descriptions, axis=1)))
    assert abs(unrelated - calibration.description_mean) < 0.7 * (related - unrelated)
    assert 0 < calibration.unit < related - unrelated


def test_one_tool_whose_name_says_nothing_does_not_make_everything_related() -> None:
    names, descriptions, combined = unit(np.eye(1, 64)), unit(np.eye(1, 64, 1)), unit(np.eye(1, 64, 1))
    calibration = calibrate(names, descriptions, combined)
    assert min(asdict(calibration).values()) >= 0


def test_names_that_repeat_as_descriptions_do_not_widen_the_unit() -> None:
    names, _, _ = catalogue(200)
    calibration = calibrate(names, names, names)
    assert calibration.unit == pytest.approx(float((names @ names.T)[~np.eye(200, dtype=bool)].std()), rel=0.7)


def test_a_space_that_embeds_queries_differently_is_read_by_its_queries() -> None:
    random = np.random.default_rng(3)
    names, descriptions, combined = catalogue(200)
    shift = random.normal(size=64)
    names, descriptions, combined, queries = (
        unit(vectors * 8 + pull)
        for vectors, pull in ((names, shift), (descriptions, shift), (combined, shift), (names, -shift))
    )
    asked = queries @ descriptions.T
    calibration = calibrate(names, descriptions, combined, queries[:100])
    assert calibration.description_mean == pytest.approx(float(np.median(asked[~np.eye(200, dtype=bool)])), abs=0.02)
    assert calibration.description_mean < calibrate(names, descriptions, combined).description_mean - 0.3


def test_vectors_of_different_shapes_are_refused() -> None:
    names, descriptions, combined = catalogue(5)
    with pytest.raises(ValueError, match="different shapes"):
        calibrate(names, descriptions[:4], combined)
    with pytest.raises(ValueError, match="do not fit"):
        calibrate(names, descriptions, combined, catalogue(6)[0])


def test_real_tools_give_what_is_known_of_the_builtin_model(model: StaticModel) -> None:
    names, descriptions = (model.embed([tool[kind] for tool in TOOLS]) for kind in (0, 1))
    combined = model.embed([f"Local MCP: {name}. {description}" for name, description in TOOLS])
    calibration = calibrate(names, descriptions, combined)
    assert -0.05 < calibration.description_mean < 0.2
    assert 0.05 < calibration.unit < 0.15
