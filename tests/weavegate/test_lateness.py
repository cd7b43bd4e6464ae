from __future__ import annotations

import msgspec
from subject_samples import observed_finding

from conformance.differential.findings import RunFinding
from conformance.differential.records import FindingClass
from runners.records import Crashed, TimedOut
from weavegate.lateness import part_late
from weavegate.memory_nans import unsure_of_memory


def test_an_interpreter_that_is_late_is_no_finding() -> None:
    item, nodes = observed_finding(FindingClass.BROKEN_WORKER, TimedOut(), slow=True)
    kept, late = part_late([item], nodes)
    assert kept == []
    assert late[0].startswith("cc@1.0.0 did not finish a case in 10 s")


def test_a_fast_node_that_is_late_stays_a_finding() -> None:
    item, nodes = observed_finding(FindingClass.BROKEN_WORKER, TimedOut(), slow=False)
    assert part_late([item], nodes) == ([item], [])


def test_an_interpreter_that_crashes_stays_a_finding() -> None:
    item, nodes = observed_finding(FindingClass.BROKEN_WORKER, Crashed("SIGSEGV"), slow=True)
    assert part_late([item], nodes) == ([item], [])


def test_memory_alone_names_nobody_where_nan_bits_may_explain_it() -> None:
    item, _ = observed_finding(FindingClass.STATE, None, slow=False)
    unsure = unsure_of_memory(item, floats=True, profile="exact")
    assert unsure.finding.blame.party == "undecided"
    assert not unsure.finding.blame.nodes
    for floats, profile in ((False, "exact"), (True, "canonical")):
        assert unsure_of_memory(item, floats=floats, profile=profile) is item


def test_memory_whose_pages_differ_too_keeps_its_blame() -> None:
    item, _ = observed_finding(FindingClass.STATE, None, slow=False)
    first, *rest = item.finding.observed
    other = msgspec.structs.replace(first, outcome=msgspec.structs.replace(first.outcome, pages=2))
    finding = msgspec.structs.replace(item.finding, observed=(other, *rest))
    grown = RunFinding(finding, item.deviants, item.manner, item.case_ids, item.case_id)
    assert unsure_of_memory(grown, floats=True, profile="exact") is grown
