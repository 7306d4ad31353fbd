"""An account: the customer to whom keys and clients map; suspending it stops all of its credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import EARLIER, NOW, POLICY, a_moment, an_account, asked, refused

from doorward.protocol import account
from doorward.protocol.account import AccountObject, CreateAccount, Facts, UpdateAccount
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account
from doorward.protocol.events import AccountCreated, AccountUpdated


def create(id_: str = "acme", existing: Account | None = None, **fields: Any) -> Decision[AccountObject]:
    return account.create(asked(CreateAccount(id_, **fields)), Facts(existing), POLICY, a_moment())


def update(existing: Account | None = None, if_match: str | None = None, **fields: Any) -> Decision[AccountObject]:
    body = UpdateAccount(**fields)
    return account.update(asked(body, if_match=if_match), Facts(existing or an_account()), POLICY, a_moment())


def test_a_new_account_is_active() -> None:
    made = Account("acme", "Acme Inc", "active", {"plan": "gold"}, NOW, NOW, 1)
    assert create(name="Acme Inc", metadata={"plan": "gold"}) == Decision(account.show(made), (AccountCreated(made),))
    assert account.show(made) == AccountObject("acme", "Acme Inc", "active", {"plan": "gold"}, [], NOW, NOW, 1)


def test_an_account_is_named_by_its_id_unless_said_otherwise() -> None:
    assert create().reply.name == "acme"
    with refused("invalid_fields"):
        create(name="")


@pytest.mark.parametrize("id_", ["a", "0", "acme", "acme-2_b", "a" * 63])
def test_the_id_is_chosen_by_the_administrator(id_: str) -> None:
    assert create(id_).reply.id == id_


@pytest.mark.parametrize("id_", ["", "Acme", "-a", "_a", "a.b", "a b", "é", "a" * 64, "a\n", "a/b", "a\x00"])
def test_the_id_is_a_short_plain_word(id_: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(id_)
    assert [name for name, _ in caught.value.fields] == ["id"]


def test_an_id_is_taken_once() -> None:
    with refused("conflict", reason="entity_conflict"):
        create(existing=an_account())


def test_metadata_has_limits() -> None:
    with refused("invalid_fields"):
        create(metadata={"k": "v\x00"})
    with refused("invalid_fields"):
        update(metadata={"k": "v\x00"})


def test_what_is_not_named_in_an_update_stays() -> None:
    before = an_account(metadata={"plan": "gold"})
    renamed = replace(before, name="New", updated_at=NOW, version=2)
    assert update(before, name="New") == Decision(account.show(renamed), (AccountUpdated(renamed),))
    assert update(before, metadata={}).reply.metadata == {}
    assert update(before, metadata={}).reply.name == "Acme Inc"


def test_a_name_is_checked_when_it_is_changed() -> None:
    for name in ("", "a\nb"):
        with refused("invalid_fields"):
            update(name=name)


def test_a_suspended_account_stays_suspended_when_it_is_renamed() -> None:
    assert update(an_account(state="suspended"), name="New").reply.state == "suspended"


def test_an_account_is_suspended_and_resumed() -> None:
    suspended = an_account(state="suspended", updated_at=NOW, version=2)
    decision = account.suspend(asked(), Facts(an_account()), POLICY, a_moment())
    assert decision == Decision(account.show(suspended), (AccountUpdated(suspended),))
    resumed = an_account(state="active", updated_at=NOW, version=3)
    decision = account.resume(asked(), Facts(suspended), POLICY, a_moment())
    assert decision == Decision(account.show(resumed), (AccountUpdated(resumed),))


def test_asking_for_the_state_it_has_already_is_fine_and_changes_nothing() -> None:
    suspended = an_account(state="suspended")
    assert account.suspend(asked(), Facts(suspended), POLICY, a_moment()) == Decision(account.show(suspended))
    assert account.resume(asked(), Facts(an_account()), POLICY, a_moment()) == Decision(account.show(an_account()))
    assert account.show(suspended).updated_at == EARLIER


@pytest.mark.parametrize("change", [account.suspend, account.resume])
def test_a_change_needs_an_account_of_the_version_that_was_read(change: Any) -> None:
    with refused("not_found", reason="entity_unknown"):
        change(asked(), Facts(None), POLICY, a_moment())
    with refused("precondition_failed", reason="version_changed"):
        change(asked(if_match='"7"'), Facts(an_account()), POLICY, a_moment())


def test_an_update_needs_an_account_of_the_version_that_was_read() -> None:
    with refused("not_found"):
        account.update(asked(UpdateAccount(name="New")), Facts(None), POLICY, a_moment())
    with refused("precondition_failed"):
        update(if_match='"7"', name="New")
    assert update(if_match='"1"', name="New").reply.version == 2
