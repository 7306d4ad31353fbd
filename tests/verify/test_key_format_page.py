"""docs/key-format.md: its ten lines say the same as the library, for every published vector."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/verify/key_format.json").read_text())


@pytest.fixture(scope="module")
def reference():
    page = (ROOT / "docs/key-format.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], names)
    return names


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["what"])
def test_every_valid_vector_is_accepted(reference, vector):
    assert reference["is_ours"](vector["text"], vector["brand"])


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["what"])
def test_every_invalid_vector_is_refused(reference, vector):
    assert not reference["is_ours"](vector["text"])
