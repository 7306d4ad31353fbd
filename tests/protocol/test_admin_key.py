"""An admin key, the credential for /v1: its scopes, networks and end, and that it gives nothing it does not hold."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    EARLIER,
    NOW,
    POLICY,
    a_moment,
    a_secret,
    an_admin_key,
    asked,
    kept,
    refused,
    scope,
    work_of,
)

from doorward.protocol import admin_key
from doorward.protocol.admin import SCOPES, Asked, Caller
from doorward.protocol.admin_key import AdminKeyFacts, AdminKeyObject, CreateAdminKey, CreateFacts, Facts, authenticate
from doorward.protocol.decision import Decision
from doorward.protocol.events import AdminKeyCreated, AdminKeyRevoked, CredentialRefused
from doorward.protocol.policy import DAY
from doorward.protocol.refusal import InvalidToken
from doorward_verify import api_key

DIGEST = api_key.digest(ADMIN_KEY)


def create(allowed: str = "admin", **fields: Any) -> Decision[admin_key.NewAdminKeyObject]:
    body = CreateAdminKey(**{"name": "ci", **fields})
    return admin_key.create(asked(body, allowed), CreateFacts(), POLICY, a_moment())


def admit(facts: AdminKeyFacts | None, address: str = "", digest: bytes = DIGEST, now: int = NOW) -> Caller:
    return authenticate(digest, address, facts, POLICY, a_moment(now))


# Creation


def test_a_new_key_is_shown_once_and_kept_as_a_mac() -> None:
    decision = create()
    (event,) = decision.events
    assert isinstance(event, AdminKeyCreated)
    assert event.secret == kept(decision.reply.key, event.admin_key.id, created_at=NOW)
    assert decision.reply.key.startswith("dwa_live_")
    assert decision.reply.key.startswith(decision.reply.prefix)
    assert decision.reply.key not in f"{decision!r}"


def test_a_new_key_works() -> None:
    decision = create()
    (event,) = decision.events
    assert isinstance(event, AdminKeyCreated)
    facts = AdminKeyFacts(event.admin_key, event.secret)
    assert admit(facts, digest=api_key.digest(decision.reply.key)) == Caller(event.admin_key.id, scope("admin"))


def test_a_key_belongs_to_who_made_it() -> None:
    assert create().reply.owner == "admin_1"


def test_a_key_lives_90_days_unless_said_otherwise() -> None:
    assert create().reply.expires_at == NOW + 90 * DAY
    assert create(expires_in=3600).reply.expires_at == NOW + 3600


@pytest.mark.parametrize("expires_in", [60, 365 * DAY])
def test_a_key_lives_between_a_minute_and_a_year(expires_in: int) -> None:
    assert create(expires_in=expires_in).reply.expires_at == NOW + expires_in


@pytest.mark.parametrize("expires_in", [0, 59, -1, 365 * DAY + 1])
def test_a_key_lives_no_shorter_and_no_longer(expires_in: int) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(expires_in=expires_in)
    assert [name for name, _ in caught.value.fields] == ["expires_in"]


def test_a_key_has_a_name() -> None:
    assert create(name="nightly build").reply.name == "nightly build"
    with refused("invalid_fields"):
        create(name="")


# Scopes


def test_a_key_may_everything_unless_said_otherwise() -> None:
    assert create().reply.scope == "admin"


@pytest.mark.parametrize("wanted", sorted(SCOPES))
def test_an_administrator_gives_every_scope_that_exists(wanted: str) -> None:
    assert create(scope=wanted).reply.scope == wanted


def test_an_administrator_gives_all_scopes_at_once() -> None:
    assert create(scope=" ".join(SCOPES)).reply.scope == " ".join(sorted(SCOPES))


@pytest.mark.parametrize("wanted", ["", "everything", "keys", "keys:delete", "admin  audit:read", "admin x", "Admin"])
def test_a_scope_that_does_not_exist_is_refused(wanted: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(scope=wanted)
    assert [name for name, _ in caught.value.fields] == ["scope"]


def test_a_key_cannot_give_a_scope_that_it_does_not_hold() -> None:
    holds = "admin-keys:write keys:read"
    assert create(holds, scope="keys:read").reply.scope == "keys:read"
    assert create(holds, scope=holds).reply.scope == holds
    for wanted in ("admin", "keys:write", "keys:read audit:read"):
        with refused("insufficient_scope", reason="insufficient_scope"):
            create(holds, scope=wanted)


# Networks


def test_a_key_may_be_bound_to_networks() -> None:
    networks = ["192.0.2.0/24", "2001:db8::/32", "203.0.113.7"]
    assert create(networks=networks).reply.networks == ["192.0.2.0/24", "2001:db8::/32", "203.0.113.7/32"]
    assert create().reply.networks == []


@pytest.mark.parametrize("network", ["", "x", "192.0.2.1/24", "192.0.2.0/33", "example.com", "192.0.2", "::g"])
def test_what_is_no_network_is_refused(network: str) -> None:
    with refused("invalid_fields", reason="field_invalid") as caught:
        create(networks=["192.0.2.0/24", network])
    assert [name for name, _ in caught.value.fields] == ["networks"]


def test_there_are_50_networks_at_most() -> None:
    networks = [f"192.0.2.{number}/32" for number in range(51)]
    assert len(create(networks=networks[:50]).reply.networks) == 50
    with refused("invalid_fields"):
        create(networks=networks)


BOUND = Caller("admin_1", frozenset({"admin"}), ("10.0.0.0/8", "2001:db8::/32"))


def made_by_bound(*networks: str) -> list[str]:
    request = Asked(CreateAdminKey("ci", networks=list(networks)), BOUND)
    return admin_key.create(request, admin_key.CreateFacts(), POLICY, a_moment()).reply.networks


def test_a_bound_key_makes_keys_that_are_bound_as_it_is() -> None:
    assert made_by_bound() == ["10.0.0.0/8", "2001:db8::/32"]


def test_a_bound_key_makes_keys_for_a_part_of_its_networks() -> None:
    assert made_by_bound("10.1.0.0/16", "2001:db8:1::/48") == ["10.1.0.0/16", "2001:db8:1::/48"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "10.0.0.0/7", "192.0.2.0/24", "::/0"])
def test_a_bound_key_makes_no_key_for_other_networks(network: str) -> None:
    with refused("insufficient_scope"):
        made_by_bound("10.1.0.0/16", network)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_key_works_from_its_networks(address: str) -> None:
    assert admit(an_admin_key(networks=("192.0.2.0/24", "2001:db8::/32")), address).actor == "admin_1"


@pytest.mark.parametrize(
    "address", ["192.0.3.1", "2001:db9::1", "", "unix", "192.0.2.1, 192.0.3.1", "::ffff:192.0.3.1"]
)
def test_a_key_works_from_nowhere_else(address: str) -> None:
    record = CredentialRefused("admin_key", "admin_1", "network_not_allowed")
    with refused("invalid_token", reason="network_not_allowed", events=(record,)):
        admit(an_admin_key(networks=("192.0.2.0/24", "2001:db8::/32")), address)


def test_a_key_without_networks_works_from_everywhere() -> None:
    for address in ("192.0.2.1", "2001:db8::1", ""):
        assert admit(an_admin_key(), address).actor == "admin_1"


# Authentication


def test_the_right_key_makes_the_caller() -> None:
    assert admit(an_admin_key(allowed="keys:read audit:read")) == Caller("admin_1", scope("audit:read keys:read"))


def test_a_key_without_end_never_ends() -> None:
    assert admit(an_admin_key(expires_at=None), now=NOW * 2).actor == "admin_1"


@pytest.mark.parametrize("facts", [None, an_admin_key(a_secret("a", seed="other"))])
def test_an_unknown_key_is_refused_and_leaves_no_record(facts: AdminKeyFacts | None) -> None:
    with refused("invalid_token", reason="credential_unknown"):
        admit(facts)


def ended(**secret: Any) -> AdminKeyFacts:
    return AdminKeyFacts(an_admin_key().admin_key, kept(ADMIN_KEY, "admin_1", **secret))


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (an_admin_key(state="revoked"), "credential_revoked"),
        (an_admin_key(expires_at=NOW), "credential_expired"),
        (ended(expires_at=NOW), "credential_expired"),
        (ended(revoked_at=EARLIER), "credential_expired"),
        (an_admin_key(state="revoked", expires_at=NOW, networks=("192.0.2.0/24",)), "credential_revoked"),
        (an_admin_key(expires_at=NOW, networks=("192.0.2.0/24",)), "credential_expired"),
    ],
)
def test_an_ended_key_is_refused_and_that_is_recorded(facts: AdminKeyFacts, reason: str) -> None:
    with refused("invalid_token", reason=reason, events=(CredentialRefused("admin_key", "admin_1", reason),)):
        admit(facts)


def test_every_refusal_reads_the_same() -> None:
    texts = set()
    for facts in (None, an_admin_key(a_secret("a", seed="other")), an_admin_key(state="revoked"), ended(expires_at=1)):
        with pytest.raises(InvalidToken) as caught:
            admit(facts)
        texts.add((caught.value.status, caught.value.description, caught.value.fields))
    assert len(texts) == 1


def test_every_answer_costs_the_same_work() -> None:
    for facts in (None, an_admin_key(a_secret("a", seed="other")), an_admin_key(state="revoked"), an_admin_key()):
        assert work_of(authenticate, DIGEST, "", facts) == 1


# Revocation


def revoke(facts: AdminKeyFacts | None, **fields: Any) -> Decision[AdminKeyObject]:
    return admin_key.revoke(asked(**fields), Facts(facts), POLICY, a_moment())


def test_a_revoked_key_says_so() -> None:
    decision = revoke(an_admin_key())
    (event,) = decision.events
    assert isinstance(event, AdminKeyRevoked)
    assert (event.admin_key.state, event.admin_key.revoked_at, event.admin_key.version) == ("revoked", NOW, 2)
    assert (decision.reply.state, decision.reply.revoked_at, decision.reply.version) == ("revoked", NOW, 2)


def test_revoking_twice_is_fine_and_changes_nothing() -> None:
    facts = an_admin_key(state="revoked", revoked_at=EARLIER)
    assert revoke(facts) == Decision(admin_key.show(facts, POLICY))


def test_only_a_known_key_of_the_version_that_was_read_is_revoked() -> None:
    with refused("not_found"):
        revoke(None)
    with refused("precondition_failed"):
        revoke(an_admin_key(), if_match='"2"')
    assert revoke(an_admin_key(), if_match='"1"').events


def test_a_key_is_shown_without_its_secret() -> None:
    assert admin_key.show(an_admin_key(), POLICY) == AdminKeyObject(
        "admin_1", ADMIN_KEY[:21], "ci", "admin", "setup", [], "active", NOW + DAY, EARLIER, None, 1
    )


def test_an_admin_key_rests_on_nothing_but_itself() -> None:
    assert an_admin_key().refs == ("admin_key/admin_1",)
