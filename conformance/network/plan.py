"""
The plan of a run: who takes part, with which power, for how many blocks, from which seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from conformance.network.models import Model
from runners.records import Families, Node

MOST_POWER: Final = (1 << 63) // 8
"""CometBFT's MaxTotalVotingPower is an eighth of the largest int64."""
MOST_VALIDATORS: Final = 250
"""As many as one vote of the differential room can hold."""


class BadPlanError(ValueError):
    """
    A plan that cannot be carried out, or from which nothing can be learnt.
    """


@dataclass(frozen=True, slots=True)
class Validator:
    """
    One member of the network: a node, whose code it shares, and its power.
    """

    node: Node
    families: Families
    power: int

    @property
    def label(self) -> str:
        """
        The label of the node: no two validators of a plan share it.
        """
        return self.node.label()


@dataclass(frozen=True, slots=True)
class Plan:
    """
    A run, before it starts; two equal plans give equal event logs if their engines agree.
    """

    seed: int
    blocks: int
    validators: tuple[Validator, ...]
    models: tuple[Model, ...]

    @property
    def total_power(self) -> int:
        """
        Power of all validators, also of those that fall out later.
        """
        return sum(validator.power for validator in self.validators)

    def is_quorum(self, power: int) -> bool:
        """
        Whether *power* is more than two thirds of the total.
        """
        return 3 * power > 2 * self.total_power


def check_powers(powers: Sequence[int], validators: int) -> None:
    """
    Refuse powers that do not fit so many validators, or can never commit; raises BadPlanError.
    """
    if len(powers) != validators:
        sentence = (
            f"{len(powers)} powers are given for {validators} validators: give --power one number"
            " for each, such as --power " + ",".join(["1"] * validators)
        )
        raise BadPlanError(sentence)
    if any(power < 0 for power in powers):
        sentence = f"a power is never negative: {min(powers)} is"
        raise BadPlanError(sentence)
    total = sum(powers)
    if total == 0:
        sentence = (
            "all powers are 0, so no block can have more than 2/3 of them: give --power a number"
            " above 0 for at least one validator"
        )
        raise BadPlanError(sentence)
    if sum(power > 0 for power in powers) < 2:  # noqa: PLR2004 - the sentence says it
        sentence = (
            "all power lies with one validator, so nobody's vote is compared with its: give --power"
            " a number above 0 for at least two"
        )
        raise BadPlanError(sentence)
    if total > MOST_POWER:
        sentence = f"the powers add up to {total:,}, a chain takes at most {MOST_POWER:,}"
        raise BadPlanError(sentence)


def check_size(validators: int, blocks: int) -> None:
    """
    Refuse a network of one, or of too many, and a run of no blocks; raises BadPlanError.
    """
    if validators < 2:  # noqa: PLR2004 - the sentence says it
        sentence = f"a network of {validators} validators compares nothing: give --nodes 2 or more"
        raise BadPlanError(sentence)
    if validators > MOST_VALIDATORS:
        sentence = f"a network has at most {MOST_VALIDATORS} validators, --nodes asks {validators}"
        raise BadPlanError(sentence)
    if blocks < 1:
        sentence = f"a run of {blocks} blocks shows nothing: give --blocks 1 or more"
        raise BadPlanError(sentence)


def check_plan(plan: Plan) -> None:
    """
    Refuse a plan that cannot be carried out; raises BadPlanError.
    """
    check_size(len(plan.validators), plan.blocks)
    check_powers([validator.power for validator in plan.validators], len(plan.validators))
    label, count = Counter(v.label for v in plan.validators).most_common(1)[0]
    if count > 1:
        sentence = f"{count} validators are {label}: validators that are alike compare nothing"
        raise BadPlanError(sentence)
    if not plan.models:
        sentence = "a chain without a model infers nothing: name one with --module"
        raise BadPlanError(sentence)
    digest, count = Counter(model.sha256 for model in plan.models).most_common(1)[0]
    if count > 1:
        names = " and ".join(model.name for model in plan.models if model.sha256 == digest)
        sentence = f"{names} are the same module: name it once"
        raise BadPlanError(sentence)
