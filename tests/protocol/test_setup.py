"""First run: a one-time link makes the first admin key, and is void once an administrator exists (decision 17)."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.protocol.given import EARLIER, NOW, POLICY, a_moment, kept, refused

from doorward.protocol import setup
from doorward.protocol.admin_key import NewAdminKeyObject
from doorward.protocol.decision import Decision
from doorward.protocol.entities import SetupLink
from doorward.protocol.events import AdminKeyCreated, SetupLinkCreated, SetupLinkUsed
from doorward.protocol.policy import DAY
from doorward.protocol.setup import Facts, UseLink


def a_link(**fields: Any) -> SetupLink:
    return SetupLink(**{"digest": setup.digest("token"), "expires_at": NOW + 60, "created_at": EARLIER, **fields})


def use(link: SetupLink | None, administrator_exists: bool = False) -> Decision[NewAdminKeyObject]:
    return setup.use(UseLink("token"), Facts(link, administrator_exists), POLICY, a_moment())


def test_a_link_carries_256_bits_and_is_kept_as_their_digest() -> None:
    decision = setup.offer(False, POLICY, a_moment())
    token = decision.reply
    assert token is not None
    assert len(token) == 43  # 62 ** 43 > 2 ** 256
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert decision.events == (SetupLinkCreated(SetupLink(digest, NOW + 30 * 60, NOW)),)
    assert token not in repr(decision.events)


def test_no_link_is_offered_once_an_administrator_exists() -> None:
    assert setup.offer(True, POLICY, a_moment()) == Decision(None)


def test_a_link_makes_the_first_admin_key_and_is_used_up() -> None:
    decision = use(a_link())
    used, made = decision.events
    assert used == SetupLinkUsed(a_link(used_at=NOW))
    assert isinstance(made, AdminKeyCreated)
    assert made.secret == kept(decision.reply.key, made.admin_key.id, created_at=NOW)
    assert (made.admin_key.scope, made.admin_key.owner) == (frozenset({"admin"}), "setup")
    assert made.admin_key.expires_at == decision.reply.expires_at == NOW + 90 * DAY
    assert decision.reply.key not in repr(decision)


@pytest.mark.parametrize("link", [None, a_link(used_at=EARLIER), a_link(expires_at=NOW), a_link(expires_at=EARLIER)])
def test_an_unknown_a_used_and_an_old_link_are_answered_alike(link: SetupLink | None) -> None:
    with refused("setup_over", reason="setup_over") as caught:
        use(link)
    assert caught.value.status == 410
    assert caught.value.description == "the setup link is not valid any more"


def test_a_link_is_good_until_its_last_second() -> None:
    assert use(a_link(expires_at=NOW + 1)).events


def test_a_link_is_void_once_an_administrator_exists() -> None:
    with refused("setup_over"):
        use(a_link(), administrator_exists=True)


def test_the_token_is_not_shown_in_a_repr() -> None:
    assert "canary" not in repr(UseLink("canary"))
