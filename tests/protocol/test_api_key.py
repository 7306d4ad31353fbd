"""An api key: a secret of an account for one api, shown once, ended by one row."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import pytest
from tests.protocol.given import (
    EARLIER,
    IDENTIFIER,
    KEY,
    NOW,
    POLICY,
    a_key,
    a_moment,
    an_account,
    an_api,
    an_api_key,
    asked,
    kept,
    refused,
    scope,
)

from doorward.protocol import api_key, credential
from doorward.protocol.api_key import CreateFacts, CreateKey, Facts, KeyObject, NewKeyObject, UpdateKey
from doorward.protocol.credential import ApiKeyFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import ApiKey
from doorward.protocol.events import ApiKeyCreated, ApiKeyRevoked, ApiKeyUpdated
from doorward.protocol.policy import DAY
from doorward.protocol.rotation import SecretObject
from doorward_verify.api_key import digest

KNOWN = CreateFacts(an_account(), an_api())
SECRET = kept(KEY, "key_1")
SHOWN = KeyObject(
    "key_1",
    KEY[:20],
    "acme",
    IDENTIFIER,
    "read",
    "Acme Inc",
    "live",
    "active",
    NOW + DAY,
    {},
    EARLIER,
    EARLIER,
    None,
    0,
    None,
    1,
    [SecretObject(KEY[8:20], "current", EARLIER, None, None, 0, 0, None, None, None)],
    [],
    [],
    None,
    None,
    None,
    None,
    None,
)


def create(facts: CreateFacts = KNOWN, **fields: Any) -> Decision[NewKeyObject]:
    body = CreateKey(**{"account": "acme", "api": IDENTIFIER, "scope": "read", **fields})
    return api_key.create(asked(body), facts, POLICY, a_moment())


def created(decision: Decision[NewKeyObject]) -> ApiKeyCreated:
    (event,) = decision.events
    assert isinstance(event, ApiKeyCreated)
    return event


def facts_of(key: ApiKey | None = None) -> Facts:
    return Facts(key or an_api_key(), (SECRET,), an_account(), an_api())


def update(facts: Facts | None = None, if_match: str | None = None, **fields: Any) -> Decision[KeyObject]:
    return api_key.update(asked(UpdateKey(**fields), if_match=if_match), facts or facts_of(), POLICY, a_moment())


def revoke(facts: Facts, **fields: Any) -> Decision[KeyObject]:
    return api_key.revoke(asked(**fields), facts, POLICY, a_moment())


# Creation


def test_a_new_key_is_shown_once_and_kept_as_a_mac() -> None:
    decision = create()
    event = created(decision)
    assert event.secret == kept(decision.reply.key, event.api_key.id, created_at=NOW)
    assert decision.reply.key not in repr(decision)
    assert [name for name, value in asdict(decision.reply).items() if value == decision.reply.key] == ["key"]


def test_a_new_key_works_for_its_account_at_its_api() -> None:
    decision = create()
    event = created(decision)
    facts = ApiKeyFacts(event.api_key, event.secret, an_account(), an_api())
    verdict = credential.check_api_key(digest(decision.reply.key), facts, POLICY, a_moment())
    assert verdict.active
    assert (event.api_key.account_id, event.api_key.api_id, event.api_key.scope) == ("acme", "api_1", scope("read"))


def test_a_key_is_shown_with_the_beginning_of_its_text() -> None:
    reply = create().reply
    assert reply.key.startswith(reply.prefix)
    assert reply.prefix == f"dw_live_{reply.key[8:20]}"


def test_a_key_lives_90_days_unless_said_otherwise() -> None:
    assert create().reply.expires_at == NOW + 90 * DAY
    assert create(expires_in=3600).reply.expires_at == NOW + 3600
    assert create(no_expiry=True).reply.expires_at is None


def test_no_key_lives_for_longer_than_its_api_allows() -> None:
    short = CreateFacts(an_account(), an_api(key_lifetime_limit=30 * DAY))
    assert create(short).reply.expires_at == create(short, expires_in=30 * DAY).reply.expires_at == NOW + 30 * DAY
    assert create(CreateFacts(an_account(), an_api(key_lifetime_limit=365 * DAY))).reply.expires_at == NOW + 90 * DAY
    for fields in ({"expires_in": 30 * DAY + 1}, {"no_expiry": True}):
        with refused("invalid_fields") as caught:
            create(short, **fields)
        assert [name for name, _ in caught.value.fields] == [*fields]


@pytest.mark.parametrize("expires_in", [1, 10 * 365 * DAY])
def test_a_key_lives_between_a_second_and_ten_years(expires_in: int) -> None:
    assert create(expires_in=expires_in).reply.expires_at == NOW + expires_in


@pytest.mark.parametrize("fields", [{"expires_in": 0}, {"expires_in": -1}, {"expires_in": 10 * 365 * DAY + 1}])
def test_a_key_lives_no_shorter_and_no_longer(fields: dict[str, Any]) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(**fields)
    assert [name for name, _ in caught.value.fields] == ["expires_in"]


def test_an_end_and_no_end_is_a_contradiction() -> None:
    for expires_in in (0, 60):
        with refused("invalid_fields") as caught:
            create(no_expiry=True, expires_in=expires_in)
        assert [name for name, _ in caught.value.fields] == ["expires_in"]


@pytest.mark.parametrize("environment", ["live", "test"])
def test_a_key_shows_its_environment(environment: str) -> None:
    decision = create(environment=environment)
    assert decision.reply.key.startswith(f"dw_{environment}_")
    assert created(decision).api_key.environment == created(decision).secret.environment == environment


def test_a_key_is_named_after_its_account_unless_said_otherwise() -> None:
    assert create().reply.name == "Acme Inc"
    assert create(name="CI").reply.name == "CI"
    with refused("invalid_fields"):
        create(name="a\nb")


def test_a_key_may_do_what_its_api_defines_and_nothing_else() -> None:
    assert create(scope="write read").reply.scope == "read write"
    assert create(scope="").reply.scope == ""
    for wanted in ("delete", "read  write"):
        with refused("invalid_fields"):
            create(scope=wanted)


def test_a_key_has_metadata_within_limits() -> None:
    assert create(metadata={"team": 7}).reply.metadata == {"team": 7}
    with refused("invalid_fields"):
        create(metadata={"k": "\x00"})


@pytest.mark.parametrize("facts", [CreateFacts(None, an_api()), CreateFacts(an_account(), None)])
def test_a_key_needs_an_account_and_an_api(facts: CreateFacts) -> None:
    with refused("not_found", reason="entity_unknown"):
        create(facts)


# Changes


def test_what_is_not_named_in_an_update_stays() -> None:
    before = facts_of(an_api_key(metadata={"team": 7}))
    renamed = an_api_key(metadata={"team": 7}, name="CI", updated_at=NOW, version=2)
    assert update(before, name="CI") == Decision(
        api_key.show(replace(before, api_key=renamed), POLICY), (ApiKeyUpdated(renamed),)
    )


def test_scope_and_metadata_can_be_changed() -> None:
    reply = update(scope="write", metadata={"team": 8}).reply
    assert (reply.scope, reply.metadata, reply.name, reply.expires_at) == ("write", {"team": 8}, "Acme Inc", NOW + DAY)
    assert update(scope="").reply.scope == ""


@pytest.mark.parametrize("fields", [{"name": ""}, {"scope": "delete"}, {"scope": " "}, {"metadata": {"\x00": 1}}])
def test_what_a_new_key_may_not_have_a_changed_one_may_not_either(fields: dict[str, Any]) -> None:
    with refused("invalid_fields"):
        update(**fields)


def test_a_scope_is_checked_against_the_keys_own_api() -> None:
    with refused("not_found"):
        update(replace(facts_of(), api=None), scope="read")


def test_a_revoked_key_says_so() -> None:
    revoked = an_api_key(state="revoked", revoked_at=NOW, updated_at=NOW, version=2)
    shown = replace(SHOWN, state="revoked", revoked_at=NOW, updated_at=NOW, version=2)
    assert revoke(facts_of()) == Decision(shown, (ApiKeyRevoked(revoked),))


def test_revoking_twice_is_fine_and_changes_nothing() -> None:
    facts = facts_of(an_api_key(state="revoked", revoked_at=EARLIER))
    assert revoke(facts) == Decision(api_key.show(facts, POLICY))


def test_a_change_needs_a_key_of_the_version_that_was_read() -> None:
    for attempt in (partial(update, name="another"), revoke):
        with refused("not_found", reason="entity_unknown"):
            attempt(Facts(None))
        with refused("precondition_failed", reason="version_changed"):
            attempt(facts_of(), if_match='"7"')
        assert attempt(facts_of(), if_match='"1"').events


# What is shown


def test_a_key_is_shown_without_its_secret() -> None:
    assert api_key.show(facts_of(), POLICY) == SHOWN
    assert KEY not in repr(SHOWN)
    assert a_key().api_key == facts_of().api_key


def test_a_key_whose_secret_or_api_is_gone_is_shown_all_the_same() -> None:
    shown = api_key.show(Facts(an_api_key()), POLICY)
    assert shown == replace(SHOWN, prefix="", api="api_1", secrets=[])


def test_what_is_not_there_is_not_shown() -> None:
    with refused("not_found"):
        api_key.show(Facts(None), POLICY)
