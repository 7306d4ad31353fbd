"""Scope, RFC 6749 §3.3: what results is what was asked for, and never more than was allowed and is defined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.protocol.given import an_api, refused, scope

from doorward.protocol.refusal import InvalidScope
from doorward.protocol.scope import granted, requested, within

MALFORMED = [
    " read", "read ", "read  write", "read\twrite", "read\nwrite", "read\xa0write", 'read"', "re\\ad", "lés", "\x7f",
    "x" * 4097,
]  # fmt: skip


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_scope_is_the_same_as_an_absent_one(text: str | None) -> None:
    assert requested(text) is None


def test_a_scope_is_a_set() -> None:
    assert requested("write read write") == scope("read write")


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_scope_is_refused(text: str) -> None:
    with refused("invalid_scope", reason="scope_invalid"):
        requested(text)


def test_all_that_was_allowed_is_granted_when_nothing_is_asked_for() -> None:
    assert granted(None, scope("read write"), an_api()) == scope("read write")


def test_exactly_what_is_asked_for_is_granted() -> None:
    assert granted(scope("read"), scope("read write"), an_api()) == scope("read")


def test_the_scope_must_not_exceed_what_was_granted() -> None:
    with refused("invalid_scope", reason="scope_invalid"):
        granted(scope("read write"), scope("read"), an_api())


def test_what_the_api_no_longer_defines_is_not_granted() -> None:
    shrunk = an_api(scopes={"read": "Read"})
    assert granted(None, scope("read write"), shrunk) == scope("read")
    with refused("invalid_scope"):
        granted(scope("write"), scope("read write"), shrunk)


names = st.frozensets(st.sampled_from(["a", "b", "c"]))


@given(names, names, names)
def test_no_scope_goes_beyond_what_was_allowed_and_is_defined(
    wanted: frozenset[str], allowed: frozenset[str], defined: frozenset[str]
) -> None:
    api = an_api(scopes=dict.fromkeys(defined, "May do it"))
    try:
        assert granted(wanted, allowed, api) == wanted
        assert wanted <= allowed & defined
    except InvalidScope:
        assert not wanted <= allowed & defined


def test_an_administrator_chooses_among_what_the_api_defines() -> None:
    assert within("write read", an_api()) == scope("read write")
    assert within("", an_api()) == frozenset()


@pytest.mark.parametrize("text", [*MALFORMED, "delete", "read delete", "Read"])
def test_an_administrator_cannot_choose_anything_else(text: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        within(text, an_api())
    assert [name for name, _ in caught.value.fields] == ["scope"]
