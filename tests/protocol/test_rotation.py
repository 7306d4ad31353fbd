"""A secret is replaced without downtime: two live for a while, the older one ends by itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.protocol.given import (
    CLIENT_SECRET,
    KEY,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_client,
    a_key,
    a_moment,
    a_secret,
    a_verifier,
    an_account,
    an_api,
    an_api_key,
    asked,
    kept,
    refused,
)

from doorward import protocol
from doorward.protocol import api_key, client, client_authentication, credential, rotation, verifier
from doorward.protocol.admin import Nothing
from doorward.protocol.api_key import NewKeyObject
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials, secret_matches
from doorward.protocol.decision import Decision
from doorward.protocol.entities import UNUSED
from doorward.protocol.events import ApiKeyUpdated, Event
from doorward.protocol.policy import DAY
from doorward.protocol.rotation import RotateKey, RotateSecret
from doorward.protocol.rotation_events import (
    ApiKeyOverlapBegun,
    ApiKeyRotated,
    ApiKeyRotationCancelled,
    ClientOverlapBegun,
    ClientSecretRotated,
    VerifierOverlapBegun,
)
from doorward.protocol.secret import Secret
from doorward.protocol.use import Used
from doorward.protocol.verifier import VerifierFacts
from doorward_verify.api_key import digest

OLD = kept(KEY, "key_1")
PROTOCOL = Path(protocol.__path__[0])
LASTING = an_api_key(expires_at=None)


def rotate(*secrets: Secret, key: Any = LASTING, now: int = NOW, **fields: Any) -> Decision[NewKeyObject]:
    facts = api_key.Facts(key, secrets or (OLD,), an_account(), an_api())
    return api_key.rotate(asked(RotateKey(**fields)), facts, POLICY, a_moment(now, seed=f"rotated {now}"))


def rotated(decision: Decision[NewKeyObject]) -> ApiKeyRotated:
    (event,) = decision.events
    assert isinstance(event, ApiKeyRotated)
    return event


def reason(secret: Secret, now: int, text: str = KEY) -> str | None:
    facts = replace(a_key(expires_at=None), secret=secret)
    return credential.check_api_key(digest(text), facts, POLICY, a_moment(now)).reason


def test_a_rotated_key_keeps_its_id_and_its_end_and_gets_another_text() -> None:
    decision = rotate(key=an_api_key())
    event = rotated(decision)
    assert (decision.reply.id, decision.reply.expires_at, decision.reply.version) == ("key_1", NOW + DAY, 2)
    assert decision.reply.key != KEY
    assert decision.reply.prefix == decision.reply.key[:20]
    assert event.secret == kept(decision.reply.key, "key_1", created_at=NOW)
    assert decision.reply.key not in repr(decision)


def test_an_overlap_that_starts_now_ends_by_itself() -> None:
    event = rotated(rotate(starts="now", overlap=60))
    (old,) = event.retired
    assert (old.superseded_at, old.expires_at, old.overlap) == (NOW, NOW + 60, None)
    assert reason(old, NOW + 59) is None
    assert reason(old, NOW + 60) == "credential_expired"


def test_without_an_overlap_the_old_secret_ends_at_once() -> None:
    (old,) = rotated(rotate(starts="now", overlap=0)).retired
    assert reason(old, NOW) == "credential_expired"


def test_an_overlap_that_starts_at_the_first_use_waits_for_it() -> None:
    event = rotated(rotate(overlap=60, deadline=1000))
    (old,) = event.retired
    assert (old.overlap, old.expires_at) == (60, NOW + 1060)
    facts = replace(a_key(expires_at=None), secret=event.secret, waiting=old)
    (begun,) = credential.first_use(facts, NOW + 500)
    assert begun == ApiKeyOverlapBegun(facts.api_key, replace(old, overlap=None, expires_at=NOW + 560))
    assert credential.first_use(replace(facts, waiting=None), NOW + 501) == ()


def test_a_first_use_after_the_deadline_changes_nothing() -> None:
    (old,) = rotated(rotate(overlap=60, deadline=1000)).retired
    facts = replace(a_key(expires_at=None), waiting=old)
    (late,) = credential.first_use(facts, NOW + 1030)
    assert late.waiting.expires_at == NOW + 1060
    assert credential.first_use(facts, NOW + 1060) == ()


def test_a_key_is_rotated_with_a_day_of_overlap_and_a_month_to_begin_it() -> None:
    (old,) = rotated(rotate()).retired
    assert (old.overlap, old.expires_at) == (DAY, NOW + 31 * DAY)


def test_no_key_has_more_than_two_secrets_that_live() -> None:
    first = rotated(rotate(starts="now", overlap=1000))
    second = rotated(rotate(*first.retired, first.secret, now=NOW + 9, starts="now", overlap=1000))
    oldest, older = second.retired
    assert (oldest.id, oldest.revoked_at) == (OLD.id, NOW + 9)
    assert (older.id, older.revoked_at, older.expires_at) == (first.secret.id, None, NOW + 1009)


def test_a_new_rotation_cancels_a_secret_that_was_never_used() -> None:
    first = rotated(rotate())
    second = rotated(rotate(*first.retired, first.secret, now=NOW + 9, overlap=60, deadline=100))
    used, pending = second.retired
    assert (pending.id, pending.revoked_at) == (first.secret.id, NOW + 9)
    assert (used.id, used.revoked_at, used.overlap, used.expires_at) == (OLD.id, None, 60, NOW + 169)


def test_what_ended_before_is_left_alone() -> None:
    gone = replace(OLD, id="gone", superseded_at=NOW - 9, expires_at=NOW - 5)
    assert [one.id for one in rotated(rotate(gone, OLD)).retired] == [OLD.id]


def test_a_rotation_never_lengthens_what_a_secret_lives() -> None:
    short = replace(OLD, expires_at=NOW + 5)
    for fields in ({"starts": "now"}, {}):
        (old,) = rotated(rotate(short, **fields)).retired
        assert old.expires_at == NOW + 5
    assert rotation.begun(replace(short, overlap=60), NOW).expires_at == NOW + 5


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"overlap": -1}, "overlap"),
        ({"overlap": rotation.OVERLAP_LIMIT + 1}, "overlap"),
        ({"starts": "now", "deadline": 5}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"deadline": rotation.DEADLINE_LIMIT + 1}, "deadline"),
    ],
)
def test_spans_that_make_no_sense_are_refused(fields: dict[str, Any], wrong: str) -> None:
    with refused("invalid_fields") as caught:
        rotate(**fields)
    assert dict(caught.value.fields).keys() == {wrong}


def test_an_overlap_may_not_be_longer_than_the_key_lives() -> None:
    with refused("invalid_fields"):
        rotate(key=an_api_key(), overlap=DAY + 1)
    rotated(rotate(key=an_api_key(), overlap=DAY))


@pytest.mark.parametrize("ended", [{"state": "revoked"}, {"expires_at": NOW}])
def test_a_key_that_ended_is_not_brought_back_by_a_rotation(ended: dict[str, Any]) -> None:
    with refused("conflict"):
        rotate(key=an_api_key(**ended))


def test_the_secrets_of_a_key_are_shown_by_their_ids_and_turns() -> None:
    waiting = rotate().reply
    assert [one.state for one in waiting.secrets] == ["waiting", "current"]
    assert waiting.secrets[0].id == OLD.id
    assert [one.state for one in rotate(starts="now").reply.secrets] == ["superseded", "current"]
    assert rotation.show(replace(OLD, revoked_at=NOW), UNUSED).state == "revoked"
    assert rotation.current((replace(OLD, revoked_at=NOW),)) is None


def test_a_key_is_told_to_end_when_the_secret_does() -> None:
    facts = a_key(expires_at=NOW + 100)
    assert credential.ends_at(facts) == NOW + 100
    assert credential.ends_at(replace(facts, secret=replace(OLD, expires_at=NOW + 50))) == NOW + 50
    assert credential.ends_at(a_key(expires_at=None)) is None


# Inactive


def turn(state: str, to: str) -> Any:
    decide = {"inactive": api_key.deactivate, "active": api_key.activate}[to]
    return decide(asked(), api_key.Facts(an_api_key(state=state), (OLD,), an_account(), an_api()), POLICY, a_moment())


def test_an_inactive_key_is_refused_and_can_be_active_again() -> None:
    (event,) = turn("active", "inactive").events
    assert event == ApiKeyUpdated(an_api_key(state="inactive", updated_at=NOW, version=2))
    facts = replace(a_key(), api_key=event.api_key)
    assert credential.check_api_key(digest(KEY), facts, POLICY, a_moment()).reason == "credential_inactive"
    assert turn("inactive", "active").reply.state == "active"


@pytest.mark.parametrize("state", ["active", "inactive"])
def test_a_second_time_changes_nothing(state: str) -> None:
    assert turn(state, state).events == ()


@pytest.mark.parametrize("to", ["active", "inactive"])
@pytest.mark.parametrize("state", ["revoked", "decoy"])
def test_a_revoked_key_stays_revoked_and_a_decoy_never_works(state: str, to: str) -> None:
    with refused("conflict"):
        turn(state, to)


# Clients and verifiers


def test_both_secrets_of_a_client_are_good_until_the_overlap_is_over() -> None:
    facts = client.Facts(a_client(), None)
    decision = client.rotate_secret(asked(RotateSecret(60, "now")), facts, POLICY, a_moment())
    (event,) = decision.events
    assert isinstance(event, ClientSecretRotated)
    now_kept = (*event.retired, event.secret)
    for text, until in ((CLIENT_SECRET, NOW + 60), (str(decision.reply.client_secret), NOW + DAY)):
        presented = ClientCredentials("client_1", text, "client_secret_basic")
        assert secret_matches(presented, now_kept, POLICY, until - 1)
        assert secret_matches(presented, now_kept, POLICY, until) is (text != CLIENT_SECRET)


def test_a_public_client_has_no_secret_to_rotate() -> None:
    facts = client.Facts(a_client(token_endpoint_auth_method="none"), None)
    with refused("conflict"):
        client.rotate_secret(asked(RotateSecret()), facts, POLICY, a_moment())


def test_a_revoked_verifier_gets_no_new_secret() -> None:
    facts = verifier.Facts(a_verifier(state="revoked"))
    with refused("conflict"):
        verifier.rotate(asked(RotateSecret()), facts, POLICY, a_moment())
    assert verifier.rotate(asked(RotateSecret()), verifier.Facts(a_verifier()), POLICY, a_moment()).reply.client_secret


@pytest.mark.parametrize("facts", [a_client(), a_verifier()], ids=["client", "verifier"])
def test_the_first_use_of_a_programs_new_secret_begins_the_overlap(facts: ClientFacts | VerifierFacts) -> None:
    new_text = a_secret("s", seed="new")
    (old,) = facts.secrets
    waiting, new = replace(old, superseded_at=NOW - 9, overlap=60, expires_at=NOW + DAY), kept(new_text, old.owner_id)
    rotated_ = replace(facts, secrets=(waiting, new))
    old_text = CLIENT_SECRET if isinstance(facts, ClientFacts) else VERIFIER_SECRET

    def noticed(text: str, known: ClientFacts | VerifierFacts, now: int = NOW) -> tuple[Event, ...]:
        presented = ClientCredentials(old.owner_id, text, "client_secret_basic")
        return client_authentication.noticed(Decision(None), presented, known, POLICY, a_moment(now)).events

    begun = replace(waiting, overlap=None, expires_at=NOW + 60)
    if isinstance(facts, ClientFacts):
        assert noticed(new_text, rotated_) == (ClientOverlapBegun(facts.client, begun),)
    else:
        assert noticed(new_text, rotated_) == (VerifierOverlapBegun(facts.verifier, begun),)
    assert noticed(old_text, rotated_) == ()
    assert noticed(old_text, facts) == ()
    assert noticed(new_text, replace(facts, secrets=(begun, new))) == ()
    assert noticed(new_text, rotated_, NOW + DAY) == ()


def test_every_exchange_that_authenticates_a_program_notices() -> None:
    """By the name in its code: whoever adds another one must not forget it."""
    modules = [module for module in (PROTOCOL.rglob("*.py")) if module.name != "client_authentication.py"]
    texts = {module.stem: module.read_text() for module in modules}
    asks = {name for name, text in texts.items() if re.search(r"client_authentication\.authenticate\w*\(", text)}
    assert asks == {name for name, text in texts.items() if "client_authentication.noticed(" in text}
    assert len(asks) >= 7


# Cancelling


def test_a_cancelled_rotation_leaves_the_old_secret_as_it_was() -> None:
    event = rotated(rotate(overlap=60))
    (waiting,) = event.retired
    facts = api_key.Facts(event.api_key, (waiting, event.secret), an_account(), an_api())
    (cancelled,) = api_key.cancel_rotation(asked(Nothing()), facts, POLICY, a_moment(NOW + 5)).events
    assert isinstance(cancelled, ApiKeyRotationCancelled)
    assert cancelled.restored == OLD
    assert cancelled.withdrawn == replace(event.secret, superseded_at=NOW + 5, revoked_at=NOW + 5)


@pytest.mark.parametrize(
    "secrets",
    [
        (OLD,), (replace(OLD, superseded_at=NOW, expires_at=NOW), kept(a_secret(seed="new"), "key_1")),
        (replace(OLD, superseded_at=NOW, revoked_at=NOW), kept(a_secret(seed="new"), "key_1")),
    ],
    ids=["never rotated", "the old one has expired", "the old one was revoked"],
)  # fmt: skip
def test_what_has_ended_never_works_again(secrets: tuple[Secret, ...]) -> None:
    facts = api_key.Facts(LASTING, secrets, an_account(), an_api())
    with refused("conflict"):
        api_key.cancel_rotation(asked(Nothing()), facts, POLICY, a_moment())


def test_of_a_revoked_key_nothing_is_cancelled() -> None:
    event = rotated(rotate(overlap=60))
    facts = api_key.Facts(replace(event.api_key, state="revoked"), (*event.retired, event.secret), None, an_api())
    with refused("conflict"):
        api_key.cancel_rotation(asked(Nothing()), facts, POLICY, a_moment())


@pytest.mark.parametrize("facts", [a_client(), a_verifier()], ids=["client", "verifier"])
def test_while_a_program_has_two_secrets_it_is_counted_which_one_it_uses(facts: ClientFacts | VerifierFacts) -> None:
    new_text = a_secret("s", seed="new")
    (old,) = facts.secrets
    superseded, new = replace(old, superseded_at=NOW - 9, expires_at=NOW + 60), kept(new_text, old.owner_id)
    old_text = CLIENT_SECRET if isinstance(facts, ClientFacts) else VERIFIER_SECRET
    both = replace(facts, secrets=(superseded, new))

    def used(text: str, known: ClientFacts | VerifierFacts, now: int = NOW) -> tuple[Used, ...]:
        presented = ClientCredentials(old.owner_id, text, "client_secret_basic")
        return client_authentication.noticed(Decision(None), presented, known, POLICY, a_moment(now)).uses

    kind = old.owner_id.partition("_")[0]
    assert used(old_text, both) == (Used(kind, old.owner_id, 1, NOW, secret_id=old.id, is_old=True),)
    assert used(new_text, both) == (Used(kind, old.owner_id, 1, NOW, secret_id=new.id),)
    assert used(old_text, facts) == used(new_text, both, NOW + 60) == ()
