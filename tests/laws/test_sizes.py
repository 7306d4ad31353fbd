"""Small enough to be read: files, functions, and the few pages that must stay one screen."""

from __future__ import annotations

import ast
from statistics import median

from tests.laws.modules import PROGRAMS, SOURCES, Module, length, modules

FILE = 400
FUNCTION = 40
DECIDE = 60
MEDIAN = 8
SCREEN = 80
ONE_SCREEN = (
    "exchange.py", "asgi.py", "door.py", "django.py", "fastapi.py", "fastmcp.py", "flask.py", "litestar.py", "mcp.py",
    "rest_framework.py", "starlette.py",
)  # fmt: skip


def long_files(found: list[Module], limit: int = FILE) -> list[str]:
    return [f"{module.path}: {module.lines} lines" for module in found if module.lines > limit]


def long_functions(found: list[Module]) -> list[str]:
    """Migrations are lists of columns, as long as their tables."""
    return [
        f"{module.path}:{function.lineno} {function.name}: {length(function)} lines"
        for module in found
        if "/migrations/" not in module.path
        for function in module.functions()
        if length(function) > (DECIDE if function.name == "decide" else FUNCTION)
    ]


def median_length(found: list[Module]) -> float:
    return median(length(function) for module in found for function in module.functions())


def without_docstring(found: list[Module]) -> list[str]:
    return [m.path for m in found if m.text.strip() and not (ast.get_docstring(m.tree) or "").strip()]


def test_no_file_is_longer_than_400_lines() -> None:
    assert long_files(modules(*PROGRAMS)) == []


def test_no_function_is_longer_than_40_lines_and_no_decide_than_60() -> None:
    assert long_functions(modules(*PROGRAMS)) == []


def test_half_of_all_functions_have_8_lines_or_fewer() -> None:
    assert median_length(modules(*SOURCES)) <= MEDIAN


def test_the_runner_and_the_verifiers_shells_fit_on_a_screen() -> None:
    screens = [module for module in modules(*SOURCES) if module.is_in(*ONE_SCREEN)]
    assert screens, "the runner is gone"
    assert long_files(screens, SCREEN) == []


def test_every_module_says_what_it_is() -> None:
    assert without_docstring(modules(*PROGRAMS)) == []


def function(name: str, lines: int) -> str:
    return f"def {name}():\n" + "    pass\n" * (lines - 1)


def test_a_long_file_is_found() -> None:
    assert long_files([Module("short.py", "x = 1\n" * 400)]) == []
    assert long_files([Module("long.py", "x = 1\n" * 401)]) == ["long.py: 401 lines"]


def test_a_long_function_is_found_wherever_it_is_nested() -> None:
    nested = "class A:\n" + "".join(f"    {line}\n" for line in function("f", 41).splitlines())
    fine = [Module("a.py", function("f", 40)), Module("b.py", function("decide", 60))]
    assert long_functions(fine) == []
    assert long_functions([Module("c.py", nested)]) == ["c.py:2 f: 41 lines"]
    assert long_functions([Module("d.py", function("decide", 61))]) == ["d.py:1 decide: 61 lines"]


def test_long_habits_are_found() -> None:
    habits = [Module("a.py", function("f", 2) + function("g", 9) + function("h", 10))]
    assert median_length(habits) == 9


def test_a_module_that_says_nothing_is_found() -> None:
    said = Module("said.py", '"""What it is."""\n')
    assert without_docstring([said, Module("__init__.py", ""), Module("mute.py", "x = 1\n")]) == ["mute.py"]
