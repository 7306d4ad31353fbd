"""Scope, RFC 6749 §3.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doorward_verify import scope
from doorward_verify.scope import MalformedScope

TOKEN = "".join(chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F)))


def test_a_scope_is_a_set_of_names() -> None:
    assert scope.parse("invoices:read invoices:write") == {"invoices:read", "invoices:write"}
    assert scope.parse("a a b") == {"a", "b"}


def test_every_character_that_the_rfc_allows_is_allowed() -> None:
    assert scope.parse(TOKEN) == {TOKEN}


@pytest.mark.parametrize("code", [*range(0x21), 0x22, 0x5C, *range(0x7F, 0xA2), 0x2028, 0x3000, 0xFF21])
def test_every_other_character_is_refused(code: int) -> None:
    for text in (f"a{chr(code)}b", f"{chr(code)}a", f"a{chr(code)}"):
        if text != "a b":
            with pytest.raises(MalformedScope):
                scope.parse(text)


@pytest.mark.parametrize("text", ["", " ", " a", "a ", "a  b", "a\tb", "a\n"])
def test_names_are_separated_by_exactly_one_space(text: str) -> None:
    with pytest.raises(MalformedScope):
        scope.parse(text)


def test_more_than_4_kib_are_refused() -> None:
    assert scope.parse("a" * 4096)
    with pytest.raises(MalformedScope):
        scope.parse("a" * 4097)
    with pytest.raises(MalformedScope):
        scope.parse("a " * 500_000)


@given(st.frozensets(st.text(TOKEN, min_size=1, max_size=20), min_size=1))
def test_text_and_parse_are_inverse(names: frozenset[str]) -> None:
    assert scope.parse(scope.text(names)) == names
    assert scope.text(names) == scope.text(sorted(names, reverse=True))
