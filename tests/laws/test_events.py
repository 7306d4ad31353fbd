"""Nothing changes except through an event: each is in the union, does something to rows, and is told in the journal."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from types import ModuleType

from tests.laws.modules import ROOT, Module, modules

from doorward.protocol import (
    authorization_events,
    events,
    exposure_events,
    gateway_events,
    key_events,
    leak_events,
    people_events,
    restore_events,
    rotation_events,
    signing_key_events,
    upstream_events,
)

MODULES = (
    events, authorization_events, exposure_events, gateway_events, key_events, leak_events, people_events,
    restore_events,
    rotation_events,
    signing_key_events,
    upstream_events,
)  # fmt: skip
COMMIT = "server/src/doorward/store/commit.py"


def defined(module: ModuleType) -> set[str]:
    """The classes of the module that speak of an entity."""
    return {
        value.__name__
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and "entity" in vars(value)
    }


def matched(module: Module) -> set[str]:
    """The classes that a `match` of the module has an arm for, by the last part of their name."""
    arms = (node.cls for node in ast.walk(module.tree) if isinstance(node, ast.MatchClass))
    return {ast.unparse(cls).rpartition(".")[2] for cls in arms}


def united() -> set[str]:
    return {event.__name__ for event in typing.get_args(events.Event)}


def test_every_event_is_in_the_union() -> None:
    assert {name for module in MODULES for name in defined(module)} == united()


def test_every_event_is_committed() -> None:
    commit = Module(COMMIT, (ROOT / COMMIT).read_text())
    assert united() - matched(commit) == set()


def test_every_change_is_done_by_the_rows_of_its_entity() -> None:
    rows = [module for module in modules("server/src/doorward/store") if module.path != COMMIT]
    done = {name for module in rows for name in matched(module)}
    changes = united() - {record.__name__ for record in events.RECORDS}
    assert changes - done == set()


def test_every_event_is_a_frozen_value() -> None:
    for event in typing.get_args(events.Event):
        assert dataclasses.is_dataclass(event), event
        assert vars(event)["__dataclass_params__"].frozen, event


def test_a_forgotten_arm_is_found() -> None:
    text = "match event:\n    case e.ApiCreated() | ApiUpdated():\n        pass\n    case _:\n        pass\n"
    assert matched(Module("commit.py", text)) == {"ApiCreated", "ApiUpdated"}


def test_an_event_outside_the_union_is_found() -> None:
    module = ModuleType("extra")
    exec("class KeyForgotten:\n    entity = 'key'\nclass Plain:\n    pass\n", vars(module))
    assert defined(module) == {"KeyForgotten"}
