"""What a reported text is, whose, and what ends with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    EARLIER,
    KEY,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    VERIFIER_SECRET,
    a_client,
    a_key,
    a_moment,
    a_secret,
    a_user,
    a_user_grant,
    a_verifier,
    an_access_token,
    an_account,
    an_admin_key,
    an_api,
    kept,
    published,
    scope,
)

from doorward.protocol import leak
from doorward.protocol.credential import Presented, RefreshTokenFacts
from doorward.protocol.entities import Leak, RefreshToken
from doorward.protocol.events import AdminKeyRevoked, GrantRevoked, TokenRevoked
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.leak import BatchFacts, Facts, Report
from doorward.protocol.leak_events import (
    ApiKeySecretRevoked,
    ClientSecretRevoked,
    LeakReported,
    LeakUpdated,
    VerifierSecretRevoked,
)
from doorward_verify import api_key

HERE = "https://git.example.com/acme/app#L3"
ID = api_key.parse(KEY).id


def a_report(text: str, **fields: Any) -> Report:
    return replace(Report(leak.classify(text, "dw"), "github", HERE), **fields)


def decided(*pairs: tuple[Report, Facts], policy: Any = POLICY) -> tuple[list[str], tuple[Any, ...]]:
    """What became of each, and the events."""
    facts = BatchFacts(tuple(facts for _, facts in pairs), published())
    decision = leak.decide(tuple(report for report, _ in pairs), facts, policy, a_moment())
    return [outcome.word for outcome in decision.reply], decision.events


def a_refresh_token(**fields: Any) -> RefreshTokenFacts:
    row = kept(REFRESH_TOKEN, "grant_u")
    token = RefreshToken(row.id, row.mac, 2, "grant_u", "client_1", scope("read"), EARLIER, NOW + 60, NOW + 60)
    granted = UserGrantFacts(a_user_grant(), a_user(), an_api())
    return RefreshTokenFacts(replace(token, **fields), granted, a_client())


JWT, JWT_FACTS = an_access_token()
OPAQUE, OPAQUE_FACTS = an_access_token("opaque")
OURS = {
    "api_key": (KEY, a_key(), ApiKeySecretRevoked),
    "client_secret": (CLIENT_SECRET, a_client(), ClientSecretRevoked),
    "verifier_secret": (VERIFIER_SECRET, a_verifier(), VerifierSecretRevoked),
    "admin_key": (ADMIN_KEY, an_admin_key(), AdminKeyRevoked),
    "refresh_token": (REFRESH_TOKEN, a_refresh_token(), GrantRevoked),
    "jwt": (JWT, JWT_FACTS, TokenRevoked),
    "opaque_token": (OPAQUE, OPAQUE_FACTS, TokenRevoked),
}


@pytest.mark.parametrize("kind", OURS)
def test_a_secret_of_each_kind_ends_before_it_is_told_of(kind: str) -> None:
    text, about, event = OURS[kind]
    words, events = decided((a_report(text), Facts(about)))
    assert words == ["revoked"]
    assert [type(one) for one in events] == [event, LeakReported]
    told = events[1].leak
    assert (told.credential, told.outcome, told.origin, told.locations) == (kind, "revoked", "github", (HERE,))


@pytest.mark.parametrize("kind", [kind for kind in OURS if kind != "jwt"])
def test_another_text_with_the_same_public_id_ends_nothing(kind: str) -> None:
    text, about, _ = OURS[kind]
    found = api_key.parse(text)
    forged = api_key.assemble("dw", found.kind, found.environment, found.id, "x" * 32)
    assert decided((a_report(forged), Facts(about))) == (["unknown"], ())


def test_a_jwt_with_another_signature_ends_nothing() -> None:
    head, _, signature = JWT.rpartition(".")
    forged = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    assert decided((a_report(forged), Facts(JWT_FACTS))) == (["unknown"], ())


def test_what_nobody_knows_costs_the_same_work() -> None:
    report = a_report(a_secret(seed="unknown"))
    assert decided((report, Facts())) == (["unknown"], ())


@pytest.mark.parametrize(
    ("text", "kind"),
    [(KEY, "api_key"), (f"  {KEY}\n", "api_key"), (f"secret-token:{KEY}", "api_key"), (CLIENT_SECRET, "secret"),
     (ADMIN_KEY, "admin_key"), (REFRESH_TOKEN, "refresh_token"), (OPAQUE, "opaque"), (JWT, "jwt"),
     (a_secret("g"), "unknown"), (KEY[:-1], "unknown"),
     (KEY + "0", "unknown"), (KEY.upper(), "legacy"), ("", "unknown"),
     ("x" * 20_000, "unknown"), ("é", "unknown"), (KEY[:-1] + "!", "unknown")],
)  # fmt: skip
def test_a_text_is_what_its_form_says(text: str, kind: str) -> None:
    assert leak.classify(text, "dw").kind == kind


def test_a_secret_of_another_brand_is_none_of_ours() -> None:
    assert leak.classify(api_key.assemble("other", "", "live", "a" * 12, "b" * 32), "dw").kind == "legacy"


@pytest.mark.parametrize(
    ("text", "owner", "about"), [(CLIENT_SECRET, "client_1", a_client()), (VERIFIER_SECRET, "verifier_1", a_verifier())]
)
def test_only_the_leaked_secret_of_a_client_or_verifier_ends(text: str, owner: str, about: Any) -> None:
    sibling = kept(a_secret("s", seed="sibling"), owner)
    _, (ended, _) = decided((a_report(text), Facts(replace(about, secrets=(sibling, kept(text, owner))))))
    assert (ended.secret.id, ended.secret.revoked_at) == (api_key.parse(text).id, NOW)


def test_a_secret_that_leaked_waits_for_its_successor_no_more() -> None:
    waiting = kept(KEY, "key_1", superseded_at=EARLIER, overlap=60)
    _, (ended, _) = decided((a_report(KEY), Facts(replace(a_key(), secret=waiting))))
    assert (ended.secret.revoked_at, ended.secret.overlap) == (NOW, None)


def test_two_secrets_of_one_key_both_end_when_both_leaked() -> None:
    other = a_secret(seed="sibling")
    pairs = (a_report(KEY), Facts(a_key())), (a_report(other), Facts(a_key(other)))
    words, events = decided(*pairs)
    assert words == ["revoked", "revoked"]
    assert [one.secret.id for one in events[:2]] == [ID, api_key.parse(other).id]


@pytest.mark.parametrize(
    "about",
    [a_key(state="revoked"), a_key(expires_at=NOW), a_client(secrets=(kept(CLIENT_SECRET, "c", revoked_at=1),)),
     an_admin_key(state="revoked"), an_admin_key(expires_at=NOW), a_verifier(state="revoked"),
     replace(a_verifier(), secrets=(kept(VERIFIER_SECRET, "v", revoked_at=1),)),
     replace(JWT_FACTS, revoked=True),
     replace(a_refresh_token(), granted=UserGrantFacts(a_user_grant(revoked_at=1), a_user()))],
)  # fmt: skip
def test_what_had_ended_before_is_not_told_of(about: Any) -> None:
    text = next(text for text, known, _ in OURS.values() if type(known) is type(about))
    assert decided((a_report(text), Facts(about))) == (["ended"], ())


def test_a_key_of_a_suspended_account_ends_for_good() -> None:
    """Else it would live again when the account is resumed."""
    words, _ = decided((a_report(KEY), Facts(a_key(account=an_account(state="suspended")))))
    assert words == ["revoked"]


def test_a_refresh_token_that_was_rotated_ends_its_grant_all_the_same() -> None:
    words, (ended, _) = decided((a_report(REFRESH_TOKEN), Facts(a_refresh_token(rotated_at=NOW - 600))))
    assert (words, ended.grant.revoked_at) == (["revoked"], NOW)


def test_a_token_ends_by_its_jti_and_its_grant_stays() -> None:
    _, (ended, told) = decided((a_report(JWT), Facts(JWT_FACTS)))
    assert (ended.jti, ended.opaque) == (JWT_FACTS.jti, False)
    assert told.leak.credential_id == JWT_FACTS.jti


@pytest.mark.parametrize("kind", OURS)
def test_a_kind_may_only_be_flagged_or_ignored(kind: str) -> None:
    text, about, event = OURS[kind]
    flagged = replace(POLICY, leaks_flagged=frozenset({kind}))
    words, events = decided((a_report(text), Facts(about)), policy=flagged)
    assert (words, [type(one) for one in events]) == (["flagged"], [LeakReported])
    ignored = replace(POLICY, leaks_ignored=frozenset({kind}))
    assert decided((a_report(text), Facts(about)), policy=ignored) == (["ignored"], ())
    # Whoever holds it and wants it ended is asked nothing.
    words, events = decided((a_report(text, revoke=True), Facts(about)), policy=ignored)
    assert (words, type(events[0])) == (["revoked"], event)


def test_a_test_key_is_a_kind_of_its_own() -> None:
    text = a_secret(environment="test")
    about = a_key(text, environment="test")
    words, _ = decided(
        (a_report(text), Facts(about)), policy=replace(POLICY, leaks_flagged=frozenset({"test_api_key"}))
    )
    assert words == ["flagged"]


def before(**fields: Any) -> Leak:
    known = Leak(leak.id_of(ID), "api_key", ID, "key_1", "acme", "revoked", "github", (HERE,), EARLIER, EARLIER)
    return replace(known, **fields)


def test_the_same_report_again_changes_nothing() -> None:
    assert decided((a_report(KEY), Facts(a_key(state="revoked"), before()))) == (["ended"], ())


def test_another_place_is_added() -> None:
    report = a_report(KEY, location="elsewhere")
    _, (told,) = decided((report, Facts(a_key(state="revoked"), before())))
    assert told == LeakUpdated(before(locations=(HERE, "elsewhere"), updated_at=NOW, version=2))


def test_what_was_flagged_ends_when_its_holder_wants_it() -> None:
    _, (ended, told) = decided((a_report(KEY, revoke=True), Facts(a_key(), before(outcome="flagged"))))
    assert type(ended) is ApiKeySecretRevoked
    assert told == LeakUpdated(before(updated_at=NOW, version=2))


def test_two_reports_of_one_secret_are_one_leak() -> None:
    facts = Facts(a_key())
    words, events = decided((a_report(KEY), facts), (a_report(KEY, location="elsewhere"), facts))
    assert words == ["revoked", "revoked"]
    assert [type(one) for one in events] == [ApiKeySecretRevoked, LeakReported]
    assert (events[1].leak.locations, events[1].leak.version) == ((HERE, "elsewhere"), 1)


def test_two_tokens_of_one_grant_end_it_once() -> None:
    other = a_secret("r", seed="other")
    row = kept(other, "grant_u")
    twin = replace(a_refresh_token(), token=replace(a_refresh_token().token, id=row.id, mac=row.mac))
    pairs = (a_report(REFRESH_TOKEN), Facts(a_refresh_token())), (a_report(other), Facts(twin))
    _, events = decided(*pairs)
    assert [type(one) for one in events] == [GrantRevoked, LeakReported, LeakReported]


def test_a_digest_finds_what_the_text_would() -> None:
    report = replace(a_report(KEY), about=Presented("digest", digest=api_key.digest(KEY)))
    assert decided((report, Facts(a_key())))[0] == ["revoked"]


def test_a_place_is_kept_short_and_without_secrets() -> None:
    place = leak.location(f" https://x/?k={KEY}&j={JWT}\x1b[2J\n\u202e" + "y" * 999)
    assert KEY[-38:] not in place
    assert JWT not in place
    assert place.isprintable()
    assert len(place) <= leak.LOCATION_LIMIT


def test_nothing_of_a_report_shows_the_secret() -> None:
    for text, about, _ in OURS.values():
        report = a_report(text)
        decision = leak.decide((report,), BatchFacts((Facts(about),), published()), POLICY, a_moment())
        assert text not in repr(report) + repr(decision)
