from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attacks.bench import Bench
from attacks.records import Importance, Result
from attacks.registry import (
    Attack,
    DuplicateScenarioError,
    UnknownScenarioError,
    find,
    scenario,
    scenarios,
)

ROOT = Path(__file__).resolve().parents[2]


def registering(
    red: tuple[str, ...] = ("r",), green: tuple[str, ...] = ("g",)
) -> Callable[[Attack], Attack]:
    return scenario(
        proves="no-residue",
        importance=Importance.LOW,
        published=(),
        detected_by="looking",
        red=red,
        green=green,
        fake="none",
    )


def nothing() -> Result:
    return Result(breaches=(), nodes=(), unasked=(), entries=0, remarks=())


def test_ids_come_from_module_and_name() -> None:
    assert "isolation::residue::secret_of_an_earlier_call" in [item.id for item in scenarios()]
    assert [item.id for item in scenarios()] == sorted(item.id for item in scenarios())


def test_every_scenario_has_a_page_its_sources_and_controls_that_are_there() -> None:
    for item in scenarios():
        assert len(item.page) > 200
        assert item.title.endswith(".")
        assert item.published
        assert item.detected_by
        for folder in (*item.red, *item.green):
            assert (ROOT / "vectors" / folder / "model.toml").is_file()
        assert not item.fake or (ROOT / "tests" / "fakes" / f"{item.fake}.py").is_file()
        assert not set(item.red) & set(item.green)


def test_one_id_cannot_be_taken_twice() -> None:
    def taken(_: Bench) -> Result:
        """
        Takes an id.
        """
        return nothing()

    registering()(taken)
    with pytest.raises(DuplicateScenarioError, match="taken is there twice"):
        registering()(taken)
    assert all("taken" not in item.id for item in scenarios())


@pytest.mark.parametrize(("red", "green"), [((), ("g",)), (("r",), ())])
def test_a_scenario_without_a_control_is_refused(
    red: tuple[str, ...], green: tuple[str, ...]
) -> None:
    def unproved(_: Bench) -> Result:
        """
        Was never seen to fail.
        """
        return nothing()

    with pytest.raises(ValueError, match="needs a docstring, a red control and a green one"):
        registering(red, green)(unproved)


def test_a_scenario_without_a_page_is_refused() -> None:
    def silent(_: Bench) -> Result:
        return nothing()

    with pytest.raises(ValueError, match="silent needs a docstring"):
        registering()(silent)


def test_the_end_of_an_id_finds_it_and_an_unknown_one_is_named() -> None:
    assert find("secret_of_an_earlier_call").id.startswith("isolation::residue::")
    assert find("residue::secret_of_an_earlier_call") == find("secret_of_an_earlier_call")
    with pytest.raises(UnknownScenarioError, match=r"^'call' is no scenario: name one of envi"):
        find("call")
