"""axe-core, which looks at a page of a browser as WCAG 2.2 AA asks (tests/node has it locked).

assert violations(page, axe) == []
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.javascript import MISSING, PROGRAMS
from tests.left_out import left_out

SCRIPT = PROGRAMS / "node_modules" / "axe-core" / "axe.min.js"
# Levels A and AA of WCAG 2.0, 2.1 and 2.2, and what axe's makers hold to be good besides.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOK = "async tags => (await axe.run(document, { runOnly: tags, resultTypes: ['violations'] })).violations"


@pytest.fixture(scope="session")
def axe() -> str:
    if not SCRIPT.exists():
        raise left_out(MISSING)
    return SCRIPT.read_text("utf-8")


def violations(page: Any, axe: str) -> list[str]:
    """Each broken rule with the places that break it. The debugger puts axe there: no page of ours would let it in."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = page.evaluate(LOOK, RULES)
    return [f"{one['id']}: {one['help']} {[node['target'] for node in one['nodes']]}" for one in found]
