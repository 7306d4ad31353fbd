"""Looking for leaks: `doorward leaks scan` beside detect-secrets, each as its command is used, over the same files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import machine
from figures import Figure
from processes import COMMAND, pinned

from peers.running import PYTHON

ROUNDS = 3
PLANTED = "planted.py"
SCANNERS: dict[str, tuple[str | Path, ...]] = {
    "doorward leaks scan": (COMMAND, "leaks", "scan", "--no-ignore"),
    "detect-secrets scan, all of its plugins": (PYTHON.with_name("detect-secrets"), "scan", "--all-files"),
}


def run(place: Path, planted: str) -> list[Figure]:
    """By CPU time, on however many cores, the program's start included. `planted` is a secret that each must find."""
    tree = _tree(place, planted)
    size = sum(file.stat().st_size for file in tree.rglob("*.py")) / 1e6
    spent: dict[str, list[float]] = {who: [] for who in SCANNERS}
    for _ in range(ROUNDS):
        for who, command in SCANNERS.items():
            spent[who].append(_spent([*command, tree.name], place))
    ours, theirs = spent.values()
    ratios = [other / own for own, other in zip(ours, theirs, strict=True)]
    return [
        *(Figure(who, "MB/s", [size / each for each in found], more_is_better=True) for who, found in spent.items()),
        Figure("Doorward over detect-secrets", "x", ratios, more_is_better=True),
    ]


def _tree(place: Path, planted: str) -> Path:
    """Some of Django's own source text: any tree does, and this one is installed with the peers."""
    packages = next((PYTHON.parents[1] / "lib").glob("python*/site-packages"))
    tree = place / "tree"
    for folder in ("core", "db"):
        for file in (packages / "django" / folder).rglob("*.py"):
            copy = tree / file.relative_to(packages)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    (tree / PLANTED).write_text(f'secret = "{planted}"\n')
    return tree


def _spent(command: Sequence[str | Path], place: Path) -> float:
    before = os.times()
    done = subprocess.run(pinned(machine.SERVER_CORE, command), cwd=place, capture_output=True, text=True, check=False)
    after = os.times()
    if PLANTED not in done.stdout:
        raise SystemExit(f"{command[0]} did not find what was planted: {done.stderr[-2000:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system
