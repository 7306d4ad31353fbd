"""Words that say nothing name nothing: no module, class or function is called by one of them."""

from __future__ import annotations

import ast
import re
from pathlib import PurePath

import pytest
from tests.laws.modules import PROGRAMS, Module, modules

EMPTY = {"utils", "util", "helpers", "helper", "common", "base", "manager", "service", "handler"}
# Names that a library gave to what is overridden here.
GIVEN = {"get_route_handler", "timeout_keep_alive_handler"}
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")

Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def words(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}


def empty_names(found: list[Module]) -> list[str]:
    return [
        f"{module.path}: {name}"
        for module in found
        for name in (*PurePath(module.path).with_suffix("").parts, *_defined(module))
        if words(name) & EMPTY
    ]


def _defined(module: Module) -> list[str]:
    """A test's name is a sentence, and may speak of what the reader knows."""
    named = (node.name for node in ast.walk(module.tree) if isinstance(node, Named))
    return [name for name in named if name not in GIVEN and not name.startswith("test_")]


def test_names_say_something() -> None:
    assert empty_names(modules(*PROGRAMS, "tests")) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("utils.py", ""),
        ("web/common/page.py", ""),
        ("a.py", "class KeyManager: ..."),
        ("a.py", "def token_handler(): ..."),
        ("a.py", "class A:\n    async def _call_service(self): ..."),
        ("a.py", "class BaseClient: ..."),
        ("a.py", "class HTTPHandler: ..."),
    ],
)
def test_an_empty_name_is_found(path: str, text: str) -> None:
    assert len(empty_names([Module(path, text)])) == 1


def test_words_within_words_are_let_be() -> None:
    text = "def base62(): ...\ndef commonest(): ...\nclass Database: ...\n"
    assert empty_names([Module("services.py", text)]) == []
