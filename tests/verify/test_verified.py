"""What was proved: frozen, comparable, and with the scope that a route needs."""

from __future__ import annotations

import dataclasses

import pytest

from doorward_verify import InsufficientScope, Verified

FIELDS = [
    "credential", "subject", "account", "client_id", "key_id", "scope", "audience", "environment", "expires_at",
    "grant_id", "act", "stale", "claims",
]  # fmt: skip


def proved(scope: str = "invoices:read invoices:write") -> Verified:
    return Verified(
        "api_key", "acme", "acme", None, "key_1", frozenset(scope.split()), "https://api.example.com", "live", None
    )


def test_its_fields_are_the_contract() -> None:
    assert [field.name for field in dataclasses.fields(Verified)] == FIELDS
    assert list(vars(proved())) == FIELDS


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        proved().scope = frozenset()  # type: ignore[misc]


def test_it_is_copied_with_a_change() -> None:
    stale = dataclasses.replace(proved(), stale=True)
    assert stale.stale
    assert dataclasses.replace(stale, stale=False) == proved()
    assert stale != proved()


def test_claims_are_not_shown() -> None:
    assert "secret" not in repr(dataclasses.replace(proved(), claims={"secret": 1}))


def test_a_scope_that_was_granted_is_enough() -> None:
    proved().require()
    proved().require("invoices:read")
    proved().require("invoices:write", "invoices:read")


@pytest.mark.parametrize(
    "names", [("invoices",), ("invoices:delete",), ("invoices:read", "invoices:delete"), ("INVOICES:READ",)]
)
def test_a_scope_that_was_not_granted_is_refused_and_the_needed_ones_named(names: tuple[str, ...]) -> None:
    with pytest.raises(InsufficientScope) as refused:
        proved().require(*names)
    assert refused.value.scope == frozenset(names)
