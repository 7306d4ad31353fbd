"""The project's own Python modules, parsed: what the laws are read against."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("verify/src", "server/src")
PROGRAMS = (*SOURCES, "bench", "examples")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[Function]:
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def imports(self) -> Iterator[tuple[str, str]]:
        """Every import as (module, name); the name is empty for `import module`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((node.module, alias.name) for alias in node.names)

    def is_in(self, *places: str) -> bool:
        """Whether the path is one of these files, or lies in one of these folders (`web/`)."""
        below = self.path.partition("/src/")[2].partition("/")[2]
        return any(below == place or (place.endswith("/") and below.startswith(place)) for place in places)


def modules(*folders: str) -> list[Module]:
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in paths]


def length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1
