"""
The golden files of this room: `PYTHONPATH=. python tests/reports/golden_reports.py` writes
them anew.

Read the difference before you keep it: these files are what users see.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sample_reports import SAMPLES, all_green, allowed, nan_red, value_red

from reports.console import console_text
from reports.html import html_page
from reports.json_report import json_text
from reports.junit import junit_xml

GOLDEN: Final = Path(__file__).parent / "golden"


def body(page: str) -> str:
    """
    Cut a page's head off, so that a change of style is not a change of every golden file.
    """
    return page[page.index("<body>") : page.index("</body>")]


def renderings() -> dict[str, str]:
    """
    File name -> what the room says today.
    """
    found = {}
    for name, build in SAMPLES.items():
        found[f"{name}.txt"] = console_text(build())
        found[f"{name}.xml"] = junit_xml(build())
    found["value_red.120.txt"] = console_text(value_red(), width=120)
    found["nan_red.colour.txt"] = console_text(nan_red(), colour=True)
    found["all_green.json"] = json_text(all_green())
    found["value_red.html"] = body(html_page(value_red()))
    found["allowed.html"] = body(html_page(allowed()))
    return found


def main() -> None:
    """
    Write every golden file, and remove those that nothing writes any more.
    """
    GOLDEN.mkdir(exist_ok=True)
    wanted = renderings()
    for old in sorted(GOLDEN.iterdir()):
        if old.name not in wanted:
            old.unlink()
    for name, text in wanted.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
