"""
The variables of a function's state at its cuts, and what is known of them by the form of the code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from conformance.bounds.certificate import ENTRY
from conformance.bounds.check.semantics.image import Image
from conformance.bounds.check.semantics.layout import WIDTH, Layout
from conformance.bounds.prove.states import Cell, Frame, Reads, State
from conformance.bounds.prove.terms import Term, Terms


@dataclass(slots=True)
class Variables:
    """
    Names of what a function's state consists of.
    """

    terms: Terms
    image: Image
    layout: Layout
    is_entry: bool
    """Whether it is the function that the host calls, and nothing else calls it."""
    reads: Reads = field(default_factory=Reads)
    frame: Frame | None = None
    """Where the function keeps locals in memory, if it does."""
    params: list[Term] = field(init=False)
    entry_globals: list[Term] = field(init=False)
    entry_pages: Term = field(init=False)

    def __post_init__(self) -> None:
        """
        Name the variables.
        """
        terms, image = self.terms, self.image
        count = len(self.layout.type.parameters)
        self.params = [
            terms.variable("param", k, w) for k, w in enumerate(self.layout.locals[:count])
        ]
        entry = image.module.exported(image.precondition.entry)
        whole = image.effects(entry.index if entry else self.layout.function)
        self.entry_globals = []
        for k, kind in enumerate(image.module.global_types):
            initial = image.initial_globals[k]
            width = WIDTH[kind.type]
            if initial is not None and (self.is_entry or k not in whole[0]):
                self.entry_globals.append(terms.const(width, initial))
            else:
                self.entry_globals.append(terms.variable("entry-global", k, width))
        fixed = image.precondition.fresh and (self.is_entry or not whole[1])
        self.entry_pages = (
            terms.const(32, image.pages) if fixed else terms.variable("entry-pages", 0, 32)
        )

    def start(self, cut: int) -> State:
        """
        The state at a cut.
        """
        terms, layout = self.terms, self.layout
        if cut == ENTRY:
            declared = [terms.const(w, 0) for w in layout.locals[len(self.params) :]]
            values = [*self.params, *declared]
            unknown = [terms.unknown(8 * cell.size) for cell in self.cells]
            return State(
                terms.true, values, [], self.entry_globals[:], self.entry_pages, cells=unknown
            )
        written, grows = self.image.effects(layout.function)
        held = [
            terms.variable("global", k, WIDTH[kind.type]) if k in written else before
            for k, (kind, before) in enumerate(
                zip(self.image.module.global_types, self.entry_globals, strict=True)
            )
        ]
        fixed = self.fixed()
        return State(
            terms.true,
            [fixed.get(k, terms.variable("local", k, w)) for k, w in enumerate(layout.locals)],
            [terms.variable("stack", k, w) for k, w in enumerate(layout.loops[cut])],
            held,
            terms.variable("pages", 0, 32) if grows else self.entry_pages,
            stored=True,
            cells=[terms.variable("cell", k, 8 * c.size) for k, c in enumerate(self.cells)],
        )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """
        The cells of the function's frame.
        """
        return self.frame.cells if self.frame is not None else ()

    def fixed(self) -> dict[int, Term]:
        """
        Locals that have one value at all cuts but the entry, and it.
        """
        if self.frame is None:
            return {}
        names = {
            self.terms.variable("entry-global", k, value.width): value
            for k, value in enumerate(self.entry_globals)
        }
        return {k: self.terms.substituted(value, names) for k, value in self.frame.fixed.items()}

    def distance(self, address: Term) -> int | None:
        """
        How far an address lies from the stack pointer at entry, where that is known.
        """
        if self.frame is None:
            return None
        top = self.entry_globals[self.frame.pointer]
        found = _distance(address, top)
        return None if found is None else found - (1 << 32) * (found >> 31)


def _distance(address: Term, top: Term) -> int | None:
    """
    Difference of two addresses modulo 2^32, where it is known by their form.
    """
    (base, known), (other, start) = _parts(address), _parts(top)
    return (known - start) % (1 << 32) if base is other else None


def _parts(address: Term) -> tuple[Term | None, int]:
    if address.value is not None:
        return None, address.value
    if address.operator == "add" and address.operands[1].value is not None:
        return address.operands[0], address.operands[1].value
    return address, 0
