"""Outside test vectors: read where they lie beside the clone, skipped where they do not, never copied."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "vectors"


def outside(name: str) -> Path:
    """A file or folder of outside vectors."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"outside vectors are not beside the clone: {name}", allow_module_level=True)
    return path


def outside_json(name: str) -> Any:
    return json.loads(outside(name).read_text("utf-8"))
