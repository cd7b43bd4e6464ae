"""
The register of scenarios: a decorator puts them in, and their docstring is the published page.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import attacks
from attacks.bench import Bench
from attacks.records import Importance, Result

Attack = Callable[[Bench], Result]


class DuplicateScenarioError(ValueError):
    """
    Two scenarios have one id.
    """


class UnknownScenarioError(KeyError):
    """
    No scenario has that id, or the end of one that was given fits several.
    """

    def __str__(self) -> str:
        """
        The sentence without the quotes that KeyError adds.
        """
        return str(self.args[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One attack, why it is made, and how it is known to work.
    """

    id: str
    """`room::file::function`."""
    attack: Attack
    proves: str
    """The property that holds if the attack fails."""
    importance: Importance
    published: tuple[str, ...]
    """Where the weakness was made public: advisories, papers, addresses."""
    detected_by: str
    """How a success is noticed."""
    red: tuple[str, ...]
    """Folders below `vectors/` whose module must be caught."""
    green: tuple[str, ...]
    """Folders below `vectors/` whose module must not be."""
    fake: str
    """The lying worker of the test suite that must be caught with a module that is innocent; empty
    where no engine can be at fault, because the host answers beside it."""
    page: str
    """The docstring, as published."""

    @property
    def title(self) -> str:
        """
        The first sentence of the page.
        """
        return self.page.partition("\n\n")[0].replace("\n", " ")


_SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *,
    proves: str,
    importance: Importance,
    published: tuple[str, ...],
    detected_by: str,
    red: tuple[str, ...],
    green: tuple[str, ...],
    fake: str,
) -> Callable[[Attack], Attack]:
    """
    Register a function under an id made of its module and name; raises DuplicateScenarioError.

    A scenario without a page or without both controls is refused with ValueError: what was never
    seen to fail proves nothing.
    """

    def register(attack: Attack) -> Attack:
        path = attack.__module__.split(".")
        name = "::".join([*(path[1:] if path[0] == "attacks" else path), attack.__name__])
        page = inspect.getdoc(attack) or ""
        if not page or not red or not green:
            message = f"{name} needs a docstring, a red control and a green one"
            raise ValueError(message)
        if name in _SCENARIOS:
            message = f"{name} is there twice"
            raise DuplicateScenarioError(message)
        _SCENARIOS[name] = Scenario(
            id=name,
            attack=attack,
            proves=proves,
            importance=importance,
            published=published,
            detected_by=detected_by,
            red=red,
            green=green,
            fake=fake,
            page=page,
        )
        return attack

    return register


def scenarios() -> tuple[Scenario, ...]:
    """
    All scenarios of the room, sorted by id.
    """
    for found in pkgutil.walk_packages(attacks.__path__, "attacks."):
        importlib.import_module(found.name)
    return tuple(
        _SCENARIOS[name]
        for name in sorted(_SCENARIOS)
        if _SCENARIOS[name].attack.__module__.startswith("attacks.")
    )


def find(name: str) -> Scenario:
    """
    The scenario of an id, or of the end of one; raises UnknownScenarioError.
    """
    known = scenarios()
    found = [item for item in known if item.id == name or item.id.endswith("::" + name)]
    if len(found) != 1:
        among = found or known
        message = (
            f"{name!r} is {'the end of more than one' if found else 'no'} scenario: name one of"
            f" {', '.join(item.id for item in among)}"
        )
        raise UnknownScenarioError(message)
    return found[0]
