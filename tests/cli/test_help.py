"""Help as a newcomer reads it, and a start that imports nothing he did not ask for."""

import re
import subprocess
import sys
from importlib import import_module

import pytest
import typer

from doorward.cli.main import COMMANDS

HEAVY = ("asyncio", "fastapi", "sqlalchemy", "starlette", "httpx2", "rich", "cryptography", "alembic")


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name, (module, _) in COMMANDS.items():
        command = typer.main.get_command(import_module(f"doorward.cli.{module}").app)
        found += [(name,), *((name, verb) for verb in getattr(command, "commands", ()))]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_help_fits_into_80_columns_and_explains_each_option(run, words):
    ran = run(*words, "--help")
    assert ran.code == 0
    assert max(len(line) for line in ran.out.splitlines()) <= 80
    assert re.search(r"Usage: doorward", ran.out)
    for option in re.findall(r"^  (-.*)$", ran.out, re.MULTILINE):
        assert re.search(r"\S  +\S|^\S+( \S+)?$", option), option


@pytest.mark.parametrize("name", COMMANDS)
def test_every_noun_ends_its_help_with_examples_that_exist(run, name):
    out = run(name, "--help").out
    examples = re.findall(
        r"^    (?:\S+=\S+ )?(?:eval \"\$\()?doorward (.*)$", out.partition("Examples:")[2], re.MULTILINE
    )
    assert examples
    for example in examples:
        words = [word for word in example.split() if not word.startswith(("-", "/"))]
        assert words[0] in COMMANDS
        verbs = run(words[0], "--help").out.partition("Commands:")[2]
        assert not verbs or re.search(rf"^  {words[1]} ", verbs, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_tells_of_a_command_what_the_command_tells_of_itself(run, name):
    module, line = COMMANDS[name]
    command = typer.main.get_command(import_module(f"doorward.cli.{module}").app)
    assert command.get_short_help_str(200) == line
    assert f"{name:<12}  {line}" in run("--help").out


def test_without_words_the_help_is_shown_as_a_misuse(run):
    for words in ((), ("keys",), ("signing-keys",), ("grants",)):
        ran = run(*words)
        assert (ran.code, ran.out) == (2, "")
        assert "Commands:" in ran.err


def test_the_version_is_told(run):
    ran = run("--version")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"doorward [0-9]+\.[0-9]+\.[0-9]+\n", ran.out)


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("keys", "create", "--help"), ("serve", "--help")])
def test_nothing_heavy_is_imported_before_it_is_needed(words):
    program = (
        "import sys\nfrom doorward.cli.main import main\n"
        f"code = main({list(words)!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\nsys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stderr == "[]\n"


@pytest.mark.parametrize("words", ["nonsense", "keys nonsense", "keys create --nonsense", "keys show"])
def test_a_misuse_is_exit_code_2_with_a_pointer_to_the_help(run, words):
    ran = run(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert re.search(r"Try 'doorward[a-z ]* -h' for help", ran.err)
