from __future__ import annotations

import pytest
from golden_reports import GOLDEN, renderings

RENDERINGS = renderings()


@pytest.mark.parametrize("name", sorted(RENDERINGS))
def test_what_is_said_is_what_was_reviewed(name: str) -> None:
    assert RENDERINGS[name] == (GOLDEN / name).read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(RENDERINGS)
