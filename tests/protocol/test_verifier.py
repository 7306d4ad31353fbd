"""A verifier: a service that checks credentials of one api, with credentials of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.protocol.given import (
    EARLIER,
    IDENTIFIER,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_moment,
    a_verifier,
    an_api,
    asked,
    credentials,
    kept,
    refused,
)

from doorward.protocol import rotation, verifier
from doorward.protocol.client_authentication import authenticate_verifier
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED, Api, Verifier
from doorward.protocol.events import VerifierCreated, VerifierRevoked
from doorward.protocol.verifier import (
    CreateFacts,
    CreateVerifier,
    Facts,
    NewVerifierObject,
    VerifierFacts,
    VerifierObject,
)


def create(api: Api | None = None, **fields: Any) -> Decision[NewVerifierObject]:
    body = CreateVerifier(IDENTIFIER, **fields)
    return verifier.create(asked(body), CreateFacts(api or an_api()), POLICY, a_moment())


def created(decision: Decision[NewVerifierObject]) -> VerifierCreated:
    (event,) = decision.events
    assert isinstance(event, VerifierCreated)
    return event


def test_a_new_verifier_gets_a_secret_that_is_shown_once_and_kept_as_a_mac() -> None:
    decision = create()
    event = created(decision)
    assert event.verifier == Verifier(event.verifier.id, "api_1", "invoices", "active", NOW)
    assert event.secret == kept(decision.reply.client_secret, event.verifier.id, created_at=NOW)
    assert event.secret.kind == "s"
    assert decision.reply.client_secret not in repr(decision)


def test_a_new_verifier_can_authenticate() -> None:
    decision = create()
    facts = VerifierFacts(created(decision).verifier, an_api(), (created(decision).secret,))
    shown = credentials(decision.reply.client_id, decision.reply.client_secret)
    assert authenticate_verifier(shown, facts, POLICY, a_moment()) == facts
    # Of several secrets the one that it showed is the one that its streams hang on.
    rotated = replace(facts, secrets=(kept(VERIFIER_SECRET, "verifier_1"), *facts.secrets))
    assert authenticate_verifier(shown, rotated, POLICY, a_moment()) == facts


def test_its_id_tells_it_from_a_client() -> None:
    assert create().reply.client_id.startswith("verifier_")


def test_a_verifier_is_told_all_that_its_service_needs() -> None:
    reply = create(name="billing").reply
    assert (reply.issuer, reply.api, reply.name) == ("https://auth.example.com", IDENTIFIER, "billing")


def test_a_verifier_has_a_printable_name() -> None:
    with refused("invalid_fields"):
        create(name="a\nb")


def test_a_verifier_needs_an_api() -> None:
    with refused("not_found", reason="entity_unknown"):
        verifier.create(asked(CreateVerifier("unknown")), CreateFacts(None), POLICY, a_moment())


def revoke(facts: VerifierFacts | None, **fields: Any) -> Decision[VerifierObject]:
    return verifier.revoke(asked(**fields), Facts(facts), POLICY, a_moment())


def test_a_revoked_verifier_says_so() -> None:
    facts = a_verifier()
    revoked = replace(facts.verifier, state="revoked", revoked_at=NOW, version=2)
    shown = verifier.show(replace(facts, verifier=revoked), POLICY)
    assert revoke(facts) == Decision(shown, (VerifierRevoked(revoked),))
    assert (shown.state, shown.revoked_at, shown.version) == ("revoked", NOW, 2)


def test_revoking_twice_is_fine_and_changes_nothing() -> None:
    facts = a_verifier(state="revoked", revoked_at=EARLIER)
    assert revoke(facts) == Decision(verifier.show(facts, POLICY))


def test_only_a_known_verifier_of_the_version_that_was_read_is_revoked() -> None:
    with refused("not_found", reason="entity_unknown"):
        revoke(None)
    with refused("precondition_failed", reason="version_changed"):
        revoke(a_verifier(), if_match='"7"')
    assert revoke(a_verifier(), if_match='"1"').events


def test_a_verifier_is_shown_without_its_secret() -> None:
    assert verifier.show(a_verifier(), POLICY) == VerifierObject(
        "verifier_1",
        IDENTIFIER,
        "billing",
        "https://auth.example.com",
        "active",
        EARLIER,
        None,
        1,
        False,
        [rotation.show(a_verifier().secrets[0], UNUSED)],
    )
    assert VERIFIER_SECRET not in repr(a_verifier())


def test_a_verifier_rests_on_its_api() -> None:
    assert set(a_verifier().refs) == {"verifier/verifier_1", "api/api_1"}
