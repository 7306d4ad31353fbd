"""A run that could not test something says so; in CI it has failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest
from tests.left_out import left_out

@pytest.fixture(scope="module")
def browser():
    raise left_out("the browser is missing")

@pytest.mark.parametrize("number", range(3))
def test_a_page(browser, number): ...

@pytest.mark.skip(reason="knowingly")
def test_a_day(): ...

def test_the_rest(): ...
"""


def run(directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_pages.py").write_text(TESTS)
    environment = {**{name: value for name, value in os.environ.items() if name != "CI"}, **variables}
    words = [sys.executable, "-m", "pytest", "-p", "tests.left_out", "-p", "no:cacheprovider", str(directory)]
    environment |= {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("said", [{}, {"CI": "false"}])
def test_elsewhere_they_are_left_out_and_counted_at_the_end(tmp_path: Path, said: dict[str, str]) -> None:
    done = run(tmp_path, **said)
    assert done.returncode == 0, done.stdout
    *_, title, reason, file, end, _ = done.stdout.rstrip().splitlines()
    assert "3 TESTS WERE LEFT OUT" in title
    assert reason == "the browser is missing."
    assert file.split() == ["3", "of", "test_pages.py"]
    assert "green does not mean tested" in end


def test_in_ci_they_fail(tmp_path: Path) -> None:
    done = run(tmp_path, CI="true")
    assert done.returncode == 1
    assert "1 passed, 1 skipped, 3 errors" in done.stdout
    assert "the browser is missing. CI leaves no test out." in done.stdout
    assert "LEFT OUT" not in done.stdout
