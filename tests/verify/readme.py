"""The code of the README, run as it stands there but for the issuer, which is the test's."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

README = Path(__file__).resolve().parents[2] / "verify" / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def run(heading: str, issuer: str, monkeypatch: pytest.MonkeyPatch, number: int = 0) -> dict[str, Any]:
    """What the block under this heading defines; a service has its credentials in the environment."""
    monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
    monkeypatch.setenv("DOORWARD_VERIFIER_SECRET", "s3cret")
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", README.read_text("utf-8"), re.DOTALL | re.M)
    code = BLOCK.findall(section)[number].replace("https://auth.example.com", issuer)
    module = ModuleType("service_of_the_readme")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(code, f"README: {heading}", "exec"), vars(module))
    return vars(module)
