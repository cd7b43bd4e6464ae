"""
Whether the parts of a certificate make sense together, before anything is proved about them.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance.bounds.certificate import Bytes, Certificate, GlobalRange, Range, Values
from conformance.bounds.check.refusals import Refusal, RefusedError
from conformance.bounds.check.semantics.image import PAGE_BYTES
from conformance.bounds.check.semantics.layout import WIDTH
from conformance.bounds.check.semantics.subject import Subject
from conformance.bounds.contract import parse_contract
from conformance.bounds.host_records import HostContract
from conformance.gas.errors import UnknownGasModelError
from conformance.gas.load import HOST_PART, gas_model
from conformance.manifest.errors import BadManifestError
from conformance.wasm.limits import MOST_PAGES


def check_parts(certificate: Certificate) -> None:
    """
    Raise RefusedError for numbers beyond all bounds, and for a contract that is not the hosts'.
    """
    check_sizes(certificate)
    check_contract(certificate)


def check_sizes(certificate: Certificate) -> None:
    """
    Raise RefusedError for addresses and pages beyond what 32 bits can address.
    """
    given = certificate.precondition
    spans: list[Bytes | Values] = [*certificate.regions, *given.unknown, *given.values]
    for span in spans:
        if not span.start <= span.end <= PAGE_BYTES * MOST_PAGES:
            raise RefusedError("form", f"no memory lies from {span.start} to {span.end}")
    if certificate.pages > MOST_PAGES:
        raise RefusedError("form", f"{certificate.pages} pages are more than memory can have")


def check_contract(certificate: Certificate) -> None:
    """
    Raise RefusedError unless the records of hosts are what the contract's own text says.
    """
    given = certificate.contract
    if given is None:
        return
    try:
        read = parse_contract(given.text)
        parts = [name for name in certificate.models if name.startswith(HOST_PART)]
        priced = [gas_model(name.removeprefix(HOST_PART)) for name in parts]
    except (BadManifestError, UnknownGasModelError) as error:
        raise RefusedError("form", f"its contract cannot be read: {error}") from error
    if read.text != given:
        sentence = f"its contract has the id {read.text.id} and the SHA-256 {read.text.sha256}"
        raise RefusedError("claim", f"{sentence}, which it does not state so")
    said = read.hosts([host.key for host in certificate.hosts], priced)
    if sorted(said, key=_key) != sorted(certificate.hosts, key=_key):
        raise RefusedError("claim", "what it states of its hosts is not what their contract says")


def _key(host: HostContract) -> str:
    return host.key


def check_precondition(subject: Subject) -> Iterator[Refusal]:
    """
    Refusals of a precondition that says nothing sensible about the entry.
    """
    precondition, entry = subject.certificate.precondition, subject.entry
    layout = subject.layout(entry)
    widths = layout.locals[: len(layout.type.parameters)]
    if len(precondition.arguments) != len(widths):
        count = len(precondition.arguments)
        yield Refusal("form", f"the entry takes {len(widths)} arguments, not {count}")
        return
    rows: list[tuple[str, Range | GlobalRange | Values, int]] = [
        (f"argument {k}", item, width)
        for k, (item, width) in enumerate(zip(precondition.arguments, widths, strict=True))
    ]
    for changed in precondition.globals:
        kinds = subject.module.global_types
        if changed.index >= len(kinds) or not kinds[changed.index].mutable:
            yield Refusal("form", f"there is no mutable global {changed.index}")
            return
        rows.append((f"global {changed.index}", changed, WIDTH[kinds[changed.index].type]))
    rows += [(f"the input at {v.start}", v, 8 * v.size) for v in precondition.values]
    for what, item, width in rows:
        if item.hi >> width:
            yield Refusal("form", f"{what} has values of more than {width} bits")
        elif item.lo > item.hi:
            yield Refusal("contradiction", f"{what} has no value: {item.lo} is above {item.hi}")
    for values in precondition.values:
        if not any(u.start <= values.start and values.end <= u.end for u in precondition.unknown):
            yield Refusal("form", f"the input at {values.start} lies outside of unknown memory")


def check_shadow(subject: Subject) -> Iterator[Refusal]:
    """
    Refusals of what is said of the shadow stack before anything runs.
    """
    claimed, image = subject.certificate.stack, subject.image
    index = claimed.shadow_global
    if index is None:
        return
    kinds = subject.module.global_types
    if index >= len(kinds) or not kinds[index].mutable:
        yield Refusal("form", f"the shadow stack is no mutable global {index}")
    elif claimed.shadow_lowest >> WIDTH[kinds[index].type]:
        yield Refusal("form", f"the shadow stack cannot reach {claimed.shadow_lowest}")
    else:
        ranges = {item.index: item.lo for item in subject.certificate.precondition.globals}
        start = image.initial_globals[index]
        first = ranges.get(index, 0) if start is None else start
        if first < claimed.shadow_lowest:
            yield Refusal("claim", f"the shadow stack begins below {claimed.shadow_lowest}")
