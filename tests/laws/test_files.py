"""What is committed names no machine and no registry, and what is written twice agrees."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.laws.modules import ROOT

HOME = re.compile(r"(?<![\w.])/(?:home|root|Users)/(?!user\b)[\w.-]+")
ADDRESS = re.compile(r"^(?:-i|-f|--(?:index-url|extra-index-url|find-links|trusted-host))\b|://", re.MULTILINE)
PINNED = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)


def committed() -> list[Path]:
    """What is in the repository or would be added to it; the clone may belong to someone else than who tests."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def project(distribution: str) -> Any:
    return tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / "requirements" / name).read_text()))


def required(distribution: str) -> set[str]:
    """The names of what a distribution depends on, without versions and extras."""
    return {re.split(r"[\[<>=~!; ]", dependency)[0] for dependency in project(distribution)["dependencies"]}


def test_no_file_names_somebodys_home() -> None:
    assert [path.name for path in committed() if HOME.search(text_of(path))] == []


def test_the_pins_name_no_registry() -> None:
    files = sorted((ROOT / "requirements").iterdir())
    assert files
    assert [file.name for file in files if ADDRESS.search(file.read_text())] == []


def test_both_distributions_have_one_version() -> None:
    server, verify = project("server"), project("verify")
    assert server["version"] == verify["version"]
    assert f"doorward-verify=={verify['version']}" in server["dependencies"]


def test_everything_that_is_needed_is_pinned() -> None:
    needed = (required("server") | required("verify")) - {"doorward-verify"}
    assert needed - pins("server.txt").keys() == set()


def test_tests_run_with_what_the_server_runs_with() -> None:
    server, development = pins("server.txt"), pins("development.txt")
    assert {name: version for name, version in server.items() if development.get(name) != version} == {}


@pytest.mark.parametrize("text", [f"cd /{'root'}/work", f"open('/{'home'}/ada/x')", f"/{'Users'}/ada"])
def test_a_home_is_found(text: str) -> None:
    assert HOME.search(text)


@pytest.mark.parametrize("text", ["https://example.com/home/page", "the /home page", "/home/user/data"])
def test_an_address_is_not_a_home(text: str) -> None:
    assert not HOME.search(text)


@pytest.mark.parametrize("text", ["-i x\n", "a==1\n--index-url x", "--find-links y", "a @ https://x"])
def test_a_registry_is_found(text: str) -> None:
    assert ADDRESS.search(text)
    assert not ADDRESS.search("alembic==1.0 \\\n    --hash=sha256:00\n    # via -r requirements/server.in\n")
