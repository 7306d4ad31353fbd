"""Commands that are printed to be pasted: the same program, on the same data directory or server."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

DEFAULT_DATA_DIR = Path("doorward-data")
_OPTIONS = ("data_dir", "config", "url", "profile")


def command(flags: Mapping[str, object]) -> str:
    """`flags` are the global options that were given; in the clone, its own `./doorward` is meant."""
    words = ["./doorward" if Path("doorward").is_file() else "doorward"]
    for name in _OPTIONS:
        value = flags.get(name)
        if value is not None and value != DEFAULT_DATA_DIR:
            words += [f"--{name.replace('_', '-')}", short(value) if isinstance(value, Path) else str(value)]
    return shlex.join(words)


def short(path: Path) -> str:
    """Relative where that can be pasted here."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)
