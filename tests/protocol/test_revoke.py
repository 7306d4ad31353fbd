"""`/v1/revocations`: one way to end what an administrator names, and each end is one event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    EARLIER,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_client,
    a_grant,
    a_moment,
    a_person,
    a_session,
    a_signing_key,
    a_user,
    an_access_token,
    an_account,
    an_api_key,
    asked,
    published,
    refused,
)

from doorward.protocol import api_key, revoke, user
from doorward.protocol.decision import Decision
from doorward.protocol.events import (
    AccountUpdated,
    ApiKeyRevoked,
    ClientUpdated,
    EverythingRevoked,
    GrantRevoked,
    TokenRevoked,
)
from doorward.protocol.people_events import SessionEnded, UserUpdated
from doorward.protocol.revoke import Facts, RevocationObject, Revoke
from doorward.protocol.signing_key_events import SigningKeyActivated, SigningKeyRemoved

TOKENS = {token_format: an_access_token(token_format) for token_format in ("jwt", "opaque")}
each_token = pytest.mark.parametrize(("text", "facts"), TOKENS.values(), ids=TOKENS)


def end(facts: Facts, **named: str) -> Decision[RevocationObject]:
    return revoke.decide(asked(Revoke(**named)), replace(facts, keys=published()), POLICY, a_moment())


def ended(kind: str, id_: str, *events: Any) -> Decision[RevocationObject]:
    return Decision(RevocationObject(kind, id_, bool(events)), events)


@pytest.mark.parametrize("named", [{}, {"token": "t", "grant": "g"}, {"client": "c", "account": "a", "api_key": "k"}])
def test_exactly_one_thing_is_ended(named: dict[str, str]) -> None:
    with refused("invalid_fields", reason="field_invalid"):
        end(Facts(), **named)


@pytest.mark.parametrize("kind", ["token", "grant", "client", "account", "user", "api_key", "signing_key"])
def test_what_is_not_there_cannot_be_ended(kind: str) -> None:
    with refused("not_found", reason="entity_unknown"):
        end(Facts(), **{kind: "unknown"})


@each_token
def test_a_token_is_ended_by_its_text_and_named_by_its_id(text: str, facts: Any) -> None:
    decision = end(Facts(token=facts), token=text)
    assert decision == ended(
        "token", facts.jti, TokenRevoked(facts.jti, NOW + 300, facts.opaque is not None, facts.api.id)
    )
    assert text not in repr(decision)


@each_token
def test_a_token_of_another_text_is_not_there(text: str, facts: Any) -> None:
    for wrong in (text[:-1], text + "0", KEY, REFRESH_TOKEN):
        with refused("not_found"):
            end(Facts(token=facts), token=wrong)


def test_a_token_is_not_shown_in_a_repr() -> None:
    assert REFRESH_TOKEN not in repr(Revoke(token=REFRESH_TOKEN))


def test_a_grant_is_ended_for_good() -> None:
    grant = a_grant().grant
    gone = replace(grant, revoked_at=NOW, version=2)
    assert end(Facts(grant=grant), grant=grant.id) == ended("grant", grant.id, GrantRevoked(gone))


def test_ending_a_client_disables_it() -> None:
    disabled = replace(a_client().client, state="disabled", updated_at=NOW, version=2)
    assert end(Facts(client=a_client()), client="client_1") == ended("client", "client_1", ClientUpdated(disabled))


def test_ending_an_account_suspends_it() -> None:
    suspended = an_account(state="suspended", updated_at=NOW, version=2)
    assert end(Facts(account=an_account()), account="acme") == ended("account", "acme", AccountUpdated(suspended))


def test_ending_everything_needs_nothing_to_be_known() -> None:
    assert end(Facts(), everything="access_tokens") == ended("everything", "access_tokens", EverythingRevoked())


def test_ending_an_api_key_revokes_it() -> None:
    facts = Facts(api_key=api_key.Facts(an_api_key()))
    revoked = an_api_key(state="revoked", revoked_at=NOW, updated_at=NOW, version=2)
    assert end(facts, api_key="key_1") == ended("api_key", "key_1", ApiKeyRevoked(revoked))


def test_an_api_key_is_named_by_its_own_id_whichever_of_its_ids_was_given() -> None:
    facts = Facts(api_key=api_key.Facts(an_api_key()))
    assert end(facts, api_key=KEY[8:20]).reply.id == "key_1"


def test_ending_a_signing_key_removes_it_and_lets_its_spare_sign() -> None:
    key, spare = a_signing_key(), replace(a_signing_key("signing_2"), state="pending", activated_at=None)
    decision = end(Facts(signing_keys=(key, spare)), signing_key=key.id)
    removed = replace(key, state="removed", private_key=b"", removed_at=NOW, version=2)
    assert decision == ended(
        "signing_key", key.id,
        SigningKeyRemoved(removed, "emergency"),
        SigningKeyActivated(replace(spare, state="active", activated_at=NOW, version=2)),
    )  # fmt: skip


GONE: dict[str, tuple[Facts, str]] = {
    "grant": (Facts(grant=a_grant(revoked_at=EARLIER).grant), "grant_api_1"),
    "client": (Facts(client=a_client(state="disabled")), "client_1"),
    "account": (Facts(account=an_account(state="suspended")), "acme"),
    "api_key": (Facts(api_key=api_key.Facts(an_api_key(state="revoked"))), "key_1"),
    "signing_key": (Facts(signing_keys=(replace(a_signing_key(), state="removed"),)), "signing_1"),
}


@pytest.mark.parametrize("kind", GONE)
def test_ending_something_twice_is_fine_and_changes_nothing(kind: str) -> None:
    facts, id_ = GONE[kind]
    assert end(facts, **{kind: id_}) == ended(kind, id_)


@each_token
def test_ending_a_token_twice_is_fine_and_changes_nothing(text: str, facts: Any) -> None:
    assert end(Facts(token=replace(facts, revoked=True)), token=text) == ended("token", facts.jti)


def test_a_user_is_disabled_and_his_sessions_end() -> None:
    facts = user.Facts(a_person(), sessions=(a_session(),))
    disabled = UserUpdated(a_user(state="disabled", updated_at=NOW, version=2))
    assert end(Facts(user=facts), user="ada") == ended(
        "user", "user_1", disabled, SessionEnded(a_session(ended_at=NOW))
    )
    assert end(Facts(user=user.Facts(a_person(state="disabled"))), user="ada") == ended("user", "user_1")
