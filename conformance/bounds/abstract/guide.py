"""
What abstract execution says to people: how far it came, and how often it saw loops repeat.

None of it is proved, and gas is no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from conformance.bounds.abstract.explore import Explored
from conformance.bounds.certificate import ENTRY
from conformance.wasm.module import Module


@dataclass(frozen=True, slots=True)
class LoopSeen:
    """
    One loop.
    """

    function: int
    title: str
    """Name of the function."""
    offset: int
    """Of the `loop`, in bytes from the start of the file."""
    visits: int
    """Passages of its head for one entry, at most; 0 where no state came there."""


@dataclass(frozen=True, slots=True)
class Guide:
    """
    What was seen, not proved.
    """

    complete: bool
    """Whether every path was followed to its end."""
    steps: int
    loops: tuple[LoopSeen, ...]
    """Of functions that were entered, by function and offset."""
    reason: str = ""
    """Class of reason why it gave up."""
    title: str = ""
    """Function in which it gave up."""
    offset: int = 0
    sentence: str = ""

    def sentences(self) -> list[str]:
        """
        For people.
        """
        lines = []
        if self.complete:
            lines.append("abstract execution, not proved: every path ends")
        else:
            place = f"{self.title}, byte {self.offset:#x}"
            lines.append(f"abstract execution gave up: {place}: {self.reason}: {self.sentence}")
        for loop in self.loops:
            place = f"loop in {loop.title}, byte {loop.offset:#x}"
            if not loop.visits:
                seen = "no state comes there" if self.complete else "not reached so far"
            elif self.complete:
                seen = f"seen at most {loop.visits:,} times for one entry, not proved"
            else:
                seen = f"seen {loop.visits:,} times so far"
            lines.append(f"  {place}: {seen}")
        return lines


def guide(module: Module, explored: Explored) -> Guide:
    """
    The summary of an abstract execution of *module*.
    """
    loops = []
    for function in sorted(explored.reached):
        body = module.functions[function - module.imported_functions].body
        title = module.function_name(function)
        for place, at in enumerate(body):
            if at.opcode.name == "loop":
                visits = explored.seen.visits.get((function, place), 0)
                loops.append(LoopSeen(function, title, at.offset, visits))
    stopped = explored.stopped
    if stopped is None:
        return Guide(True, explored.steps, tuple(loops))
    own = stopped.function - module.imported_functions
    offset = 0
    if own >= 0:
        place = 0 if stopped.place == ENTRY else stopped.place
        offset = int(module.functions[own].body.offsets[place])
    title = module.function_name(stopped.function)
    return Guide(
        False, explored.steps, tuple(loops), stopped.reason, title, offset, stopped.sentence
    )
