"""The reasons of refusals: a code means one thing, and every refusal has a reason that can be explained."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterable, Iterator

from tests.laws.modules import SOURCES, Module, modules

from doorward import protocol
from doorward.protocol import reasons
from doorward.protocol.refusal import Refusal
from doorward_verify.errors import DoorwardError
from doorward_verify.reasons import REASONS as CHECKS
from doorward_verify.reasons import Reason

FIRST_OF_THE_SERVER = 100
CODES = 62**2  # a request id spends two base62 characters on it


def repeated(values: Iterable[object]) -> list[object]:
    return [value for value, times in Counter(values).items() if times > 1]


def unsaid(table: Iterable[Reason]) -> list[str]:
    """A sentence and a fix for people, each with a full stop; nothing that a template forgot."""
    return [
        reason.name
        for reason in table
        if not all(text.strip() and text.endswith(".") and "{" not in text for text in (reason.sentence, reason.fix))
    ]


def refusals(kind: type[Exception]) -> Iterator[type[Exception]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from refusals(narrower)


def unexplained(found: Iterable[Module]) -> list[str]:
    """Reasons that are given where a refusal is raised, and that the table does not know."""
    return [
        f"{module.path}:{call.lineno} {word.value.value}"
        for module in found
        for call in ast.walk(module.tree)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg == "reason" and isinstance(word.value, ast.Constant) and isinstance(word.value.value, str)
        if word.value.value not in reasons.REASONS
    ]


def test_a_code_and_a_name_mean_one_thing() -> None:
    table = (*CHECKS, *reasons.SERVER)
    assert repeated(reason.code for reason in table) == []
    assert repeated(reason.name for reason in table) == []


def test_codes_below_100_are_the_verifiers() -> None:
    assert [reason.name for reason in CHECKS if not 0 < reason.code < FIRST_OF_THE_SERVER] == []
    assert [reason.name for reason in reasons.SERVER if not FIRST_OF_THE_SERVER <= reason.code < CODES] == []


def test_every_reason_is_said_and_has_a_fix() -> None:
    assert unsaid((*CHECKS, *reasons.SERVER)) == []


def test_every_refusal_has_a_reason_that_can_be_explained() -> None:
    for module in pkgutil.walk_packages(protocol.__path__, "doorward.protocol."):
        importlib.import_module(module.name)
    kinds = {*refusals(Refusal), *refusals(DoorwardError)}
    defaults = {kind: getattr(kind, "default_reason", None) for kind in kinds}
    named = {kind.__name__: name for kind, name in defaults.items() if name is not None}
    assert named, "no refusal has a default reason"
    assert {kind: name for kind, name in named.items() if name not in reasons.REASONS} == {}


def test_every_reason_that_is_given_can_be_explained() -> None:
    assert unexplained(modules(*SOURCES)) == []


def test_a_second_meaning_is_found() -> None:
    assert repeated([1, 2, 2, 3]) == [2]


def test_a_reason_without_a_fix_is_found() -> None:
    said = Reason(1, "said", 400, None, "It is so.", "Do this.")
    mute = Reason(2, "mute", 400, None, "It is so.", "")
    assert unsaid([said, mute]) == ["mute"]


def test_a_reason_that_the_table_does_not_know_is_found() -> None:
    text = "raise InvalidRequest('no', reason='request_malformed')\nraise InvalidRequest('no', reason='typo')\n"
    assert unexplained([Module("a.py", text)]) == ["a.py:2 typo"]
