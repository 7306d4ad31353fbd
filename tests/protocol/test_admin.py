"""What all admin requests share: who may what, which version is meant (RFC 9110 §13.1.1), and what a field may be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import an_account, an_administrator, asked, refused

from doorward.protocol.admin import (
    NOBODY,
    SCOPES,
    Asked,
    Caller,
    Nothing,
    absent,
    current,
    etag,
    found,
    invalid,
    metadata,
    named,
    permitted,
)


def test_a_caller_may_what_its_scope_names_and_nothing_else() -> None:
    caller = an_administrator("keys:read apis:write")
    permitted(caller, "keys:read")
    permitted(caller, "apis:write")
    for scope in ("keys:write", "apis:read", "admin", "keys", ""):
        with refused("insufficient_scope", reason="insufficient_scope", fields={"scope": scope}):
            permitted(caller, scope)


def test_admin_may_everything() -> None:
    for scope in SCOPES:
        permitted(an_administrator(), scope)


def test_while_facts_are_gathered_the_caller_is_nobody() -> None:
    assert Asked(Nothing()).caller == NOBODY == Caller("", frozenset())
    assert not any(NOBODY.may(scope) for scope in SCOPES)


def test_every_noun_can_be_read_and_written_apart() -> None:
    assert {"keys:read", "keys:write", "audit:read", "admin", "metrics:read", "leaks:verify"} <= SCOPES
    assert len(SCOPES) == 3 + 2 * 16


def test_what_is_not_there_is_not_found() -> None:
    account = an_account()
    assert found(account, "account") is account
    with refused("not_found", reason="entity_unknown"):
        found(None, "account")


def test_what_is_there_cannot_be_made() -> None:
    absent(None, "account")
    with refused("conflict", reason="entity_conflict"):
        absent(an_account(), "account")


@pytest.mark.parametrize("if_match", [None, "*", '"3"', '"2", "3"', '"3","4"', ' "3" '])
def test_an_update_of_the_version_that_was_read_goes_on(if_match: str | None) -> None:
    account = an_account(version=3)
    assert current(account, asked(if_match=if_match), "account") is account
    assert etag(3) == '"3"'


@pytest.mark.parametrize("if_match", ['"2"', '"4"', "3", 'W/"3"', "", '"3', '"2", "4"', '"2, 3"', "**"])
def test_an_update_of_another_version_is_refused(if_match: str) -> None:
    with refused("precondition_failed", reason="version_changed"):
        current(an_account(version=3), asked(if_match=if_match), "account")


def test_what_is_not_there_has_no_version() -> None:
    for if_match in (None, "*", '"1"'):
        with refused("not_found"):
            current(None, asked(if_match=if_match), "account")


def test_an_invalid_field_is_named_with_what_it_must_be() -> None:
    with refused("invalid_fields", reason="field_invalid", fields={"name": "must be short"}) as caught:
        raise invalid("name", "must be short")
    assert caught.value.description == "name must be short"


@pytest.mark.parametrize("name", ["x", "Acme Inc", "é" * 100, "日本", "a" * 100, "🙂"])
def test_a_name_is_printable(name: str) -> None:
    assert named(name) == name


@pytest.mark.parametrize(
    "name", ["", "a" * 101, " a", "a ", "a\n", "a\x00", "a\tb", "\x1b[31m", "a\u202eb", "a\u200bb", "\xa0", "\ud800"]
)
def test_a_name_has_no_controls_and_no_surrounding_spaces(name: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        named(name)
    assert [field for field, _ in caught.value.fields] == ["name"]


@pytest.mark.parametrize(
    "given", [{}, {"plan": "gold", "seats": 5, "trial": False}, {str(n): n for n in range(50)}, {"k" * 96: "v" * 4000}]
)
def test_metadata_is_kept_as_it_was_given(given: dict[str, Any]) -> None:
    kept = metadata(given)
    assert kept == given
    assert kept is not given


@pytest.mark.parametrize(
    "given", [{str(n): n for n in range(51)}, {"k" * 97: "v" * 4000}, {"k\x00": 1}, {"k": "v\x00"}, {"k": "\x00"}]
)
def test_metadata_has_limits(given: dict[str, Any]) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        metadata(given)
    assert [field for field, _ in caught.value.fields] == ["metadata"]
