"""Introspection, RFC 7662: who may ask, who sees what, and that nothing else is told (T100, T104, T105)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.protocol.given import (
    ADMIN_KEY,
    CLIENT_SECRET,
    EARLIER,
    KEY,
    NOW,
    POLICY,
    POSITION,
    REFRESH_TOKEN,
    VERIFIER_SECRET,
    a_client,
    a_form,
    a_key,
    a_moment,
    a_secret,
    a_verifier,
    an_access_token,
    an_account,
    an_admin_key,
    another_api,
    another_client,
    basic,
    kept,
    published,
    refused,
    work_of,
)

from doorward.protocol import introspection
from doorward.protocol.credential import ApiKeyFacts, Presented, TokenFacts
from doorward.protocol.decision import Decision
from doorward.protocol.events import CredentialRefused
from doorward.protocol.form import Form
from doorward.protocol.introspection import Facts, Introspection
from doorward.protocol.limit import Limit
from doorward.protocol.moment import FOREVER
from doorward.protocol.use import Used
from doorward_verify import api_key, jwt

NOTHING = Form({})
INACTIVE = Introspection(False, POSITION)
JWT, JWT_FACTS = an_access_token()
OPAQUE, OPAQUE_FACTS = an_access_token("opaque")


@dataclass(frozen=True)
class Who:
    """Who asks: what he shows, and what is known of him."""

    authorization: bytes
    facts: Any
    address: str = "192.0.2.1"


def a_bearer(**fields: Any) -> Who:
    return Who(b"Bearer " + ADMIN_KEY.encode(), an_admin_key(**fields))


def the_client() -> Who:
    return Who(basic("client_1", CLIENT_SECRET), a_client())


def the_verifier(**fields: Any) -> Who:
    return Who(basic("verifier_1", VERIFIER_SECRET), a_verifier(**fields))


CALLERS = {
    "verifier of the api": the_verifier(),
    "verifier of another api": the_verifier(api=another_api()),
    "client of the token": the_client(),
    "another client": Who(basic("client_2", CLIENT_SECRET), another_client()),
    "admin key": a_bearer(),
    "admin key that reads keys": a_bearer(allowed="keys:read"),
}
CREDENTIALS: dict[str, tuple[str, ApiKeyFacts | TokenFacts]] = {
    "api_key": (KEY, a_key()),
    "opaque": (OPAQUE, OPAQUE_FACTS),
    "jwt": (JWT, JWT_FACTS),
}
SEEN_BY = {
    "verifier of the api": {"api_key", "opaque", "jwt"},
    "verifier of another api": set(),
    "client of the token": {"opaque", "jwt"},
    "another client": set(),
    "admin key": {"api_key", "opaque", "jwt"},
    "admin key that reads keys": {"api_key", "opaque", "jwt"},
}


def introspect(
    who: Who, about: ApiKeyFacts | TokenFacts | None = None, *, query: Form = NOTHING, now: int = NOW, **form: Any
) -> Decision[Introspection]:
    request = introspection.parse([who.authorization], a_form(**form), query, "dw", who.address)
    return introspection.decide(request, Facts(who.facts, about, published()), POLICY, a_moment(now))


def digest_of(text: str) -> str:
    return jwt.b64url_encode(api_key.digest(text))


# Who sees what


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.parametrize("caller", CALLERS)
def test_a_verifier_sees_its_apis_a_client_its_own_and_an_admin_key_all(caller: str, kind: str) -> None:
    text, facts = CREDENTIALS[kind]
    decision = introspect(CALLERS[caller], facts, token=text)
    assert decision.events == ()
    if kind in SEEN_BY[caller]:
        assert (decision.reply.active, decision.reply.credential) == (True, kind)
        assert decision.reply.claims["aud"] == "https://api.example.com"
        assert decision.reply.position == POSITION
    else:
        assert decision.reply == INACTIVE


@pytest.mark.parametrize("caller", CALLERS)
def test_that_a_verifier_asks_is_a_use_and_that_others_look_is_none(caller: str) -> None:
    uses = introspect(CALLERS[caller], a_key(), token=KEY, address="192.0.2.7", user_agent="curl/8").uses
    told = {"secret_id": KEY[8:20], "address": "192.0.2.7", "user_agent": "curl/8"}
    used = Used("api_key", "key_1", 1, NOW, account_id="acme", **told)
    assert uses == ((used,) if caller == "verifier of the api" else ())


def test_of_a_token_its_grant_is_used_by_whom_it_acts_for() -> None:
    facts = replace(JWT_FACTS, acts_for=an_account(id="books"))
    (own,) = introspect(the_verifier(), JWT_FACTS, token=JWT).uses
    (acting,) = introspect(the_verifier(), facts, token=JWT).uses
    assert (own.kind, own.id, own.account_id) == ("grant", JWT_FACTS.grant.id, "acme")
    assert acting == replace(own, account_id="books")


def test_a_verifier_that_reports_its_uses_is_counted_once_and_its_refusals_are_counted_here() -> None:
    assert introspect(the_verifier(), a_key(), token=KEY, usage="reported").uses == ()
    (refused_,) = introspect(the_verifier(), a_key(state="revoked"), token=KEY, usage="reported").uses
    assert refused_.result == "credential_revoked"


ENDED: dict[str, tuple[ApiKeyFacts | TokenFacts, ...]] = {
    "credential_revoked": (
        a_key(state="revoked"), replace(OPAQUE_FACTS, revoked=True), replace(JWT_FACTS, revoked=True),
    ),
    "account_suspended": (
        a_key(account=an_account(state="suspended")),
        replace(OPAQUE_FACTS, account=an_account(state="suspended")),
        replace(JWT_FACTS, account=an_account(state="suspended")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", ENDED)
@pytest.mark.parametrize("caller", CALLERS)
def test_an_ended_credential_is_inactive_and_nothing_else_is_told(caller: str, reason: str) -> None:
    for (kind, (text, good)), facts in zip(CREDENTIALS.items(), ENDED[reason], strict=True):
        decision = introspect(CALLERS[caller], facts, token=text)
        assert decision.reply == INACTIVE
        assert (decision.reply.credential, decision.reply.claims) == ("", {})
        known_as = good.api_key.id if isinstance(good, ApiKeyFacts) else good.jti
        record = CredentialRefused(kind, known_as, reason)
        assert decision.events == ((record,) if kind in SEEN_BY[caller] else ())


def test_an_expired_credential_is_inactive() -> None:
    used = Used("grant", OPAQUE_FACTS.grant.id, 1, NOW + 300, "credential_expired", "acme")
    assert introspect(the_verifier(), OPAQUE_FACTS, token=OPAQUE, now=NOW + 300) == Decision(
        INACTIVE, (CredentialRefused("opaque", OPAQUE_FACTS.jti, "credential_expired"),), (used,)
    )
    for late in (300, 400):
        assert introspect(the_verifier(), JWT_FACTS, token=JWT, now=NOW + late).reply == INACTIVE


@pytest.mark.parametrize(
    "text", ["x", KEY, OPAQUE, JWT, REFRESH_TOKEN, CLIENT_SECRET, ADMIN_KEY, VERIFIER_SECRET, "a.b.c"]
)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_is_unknown_is_inactive(caller: str, text: str) -> None:
    assert introspect(CALLERS[caller], None, token=text) == Decision(INACTIVE)


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_no_part_of_a_credential_is_active(kind: str) -> None:
    text, facts = CREDENTIALS[kind]
    for part in [*(text[:end] for end in range(1, len(text))), text + "A", text + text]:
        assert introspect(the_verifier(), facts, token=part).reply == INACTIVE


def test_one_kind_of_credential_is_never_taken_for_another() -> None:
    for text, facts in ((KEY, OPAQUE_FACTS), (KEY, JWT_FACTS), (OPAQUE, a_key()), (OPAQUE, JWT_FACTS), (JWT, a_key())):
        assert introspect(the_verifier(), facts, token=text) == Decision(INACTIVE)


def test_a_refresh_token_is_never_found() -> None:
    for facts in (None, OPAQUE_FACTS, a_key()):
        assert introspect(the_verifier(), facts, token=REFRESH_TOKEN).reply == INACTIVE
        assert introspect(the_verifier(), facts, token_sha256=digest_of(REFRESH_TOKEN)).reply == INACTIVE


# By digest


@pytest.mark.parametrize("kind", ["api_key", "opaque"])
def test_a_verifier_may_ask_by_digest(kind: str) -> None:
    text, facts = CREDENTIALS[kind]
    decision = introspect(the_verifier(), facts, token_sha256=digest_of(text))
    assert decision == introspect(the_verifier(), facts, token=text)
    assert decision.reply.active


def test_a_verifier_of_another_api_finds_nothing_by_digest() -> None:
    for text, facts in CREDENTIALS.values():
        assert introspect(the_verifier(api=another_api()), facts, token_sha256=digest_of(text)) == Decision(INACTIVE)


def test_a_digest_finds_no_jwt() -> None:
    assert introspect(the_verifier(), JWT_FACTS, token_sha256=digest_of(JWT)) == Decision(INACTIVE)
    assert introspect(the_verifier(), None, token_sha256=digest_of(JWT)) == Decision(INACTIVE)


@pytest.mark.parametrize("who", [the_client(), a_bearer(), a_bearer(allowed="keys:read")])
def test_only_a_verifier_may_ask_by_digest(who: Who) -> None:
    with refused("invalid_request", reason="request_malformed"):
        introspect(who, a_key(), token_sha256=digest_of(KEY))


def test_a_stranger_is_not_told_who_may_ask_by_digest() -> None:
    for who in (Who(basic("client_1", "wrong"), a_client()), Who(basic("client_1", CLIENT_SECRET), None)):
        with refused("invalid_client"):
            introspect(who, token_sha256=digest_of(KEY))


def test_a_digest_is_a_credential_nowhere() -> None:
    for text in (KEY, OPAQUE, CLIENT_SECRET, VERIFIER_SECRET, ADMIN_KEY):
        digest = digest_of(text)
        assert introspect(the_verifier(), a_key(), token=digest).reply == INACTIVE
        with refused("invalid_client"):
            introspect(Who(basic("verifier_1", digest), a_verifier()), a_key(), token=KEY)
        with refused("invalid_client"):
            introspect(Who(basic("client_1", digest), a_client()), a_key(), token=KEY)
        with refused("invalid_token"):
            introspect(Who(b"Bearer " + digest.encode(), an_admin_key()), a_key(), token=KEY)


@pytest.mark.parametrize(
    "digest", ["x", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 43 + "=", "A" * 42 + "+", "A" * 42 + "é", "0" * 64]
)
def test_a_malformed_digest_is_refused(digest: str) -> None:
    with refused("invalid_request", reason="request_malformed"):
        introspect(the_verifier(), token_sha256=digest)


def test_exactly_one_credential_is_asked_about() -> None:
    with refused("invalid_request", reason="request_malformed"):
        introspect(the_verifier())
    with refused("invalid_request", reason="request_malformed"):
        introspect(the_verifier(), token=KEY, token_sha256=digest_of(KEY))


# Who asks


def test_who_asks_is_named_by_a_public_id() -> None:
    for who, actor in ((the_client(), "client_1"), (the_verifier(), "verifier_1"), (a_bearer(), ADMIN_KEY[9:21])):
        request = introspection.parse([who.authorization], a_form(token=KEY), NOTHING, "dw")
        assert request.actor == actor


def test_nobody_asks_without_credentials() -> None:
    with refused("invalid_client"):
        introspection.parse([], a_form(token=KEY), NOTHING, "dw")


def test_a_client_may_show_its_secret_in_the_body() -> None:
    form = a_form(token=OPAQUE, client_id="client_1", client_secret=CLIENT_SECRET)
    request = introspection.parse([], form, NOTHING, "dw")
    facts = Facts(a_client(), OPAQUE_FACTS)
    assert introspection.decide(request, facts, POLICY, a_moment()).reply.active


@pytest.mark.parametrize("who", [Who(b"Bearer " + ADMIN_KEY.encode(), None), Who(basic("client_1", "x"), None)])
def test_two_credentials_of_the_caller_are_refused(who: Who) -> None:
    with refused("invalid_request", reason="several_credentials"):
        introspect(who, token=KEY, client_id="client_1", client_secret="x")


def test_two_authorization_headers_are_refused() -> None:
    bearer = b"Bearer " + ADMIN_KEY.encode()
    with refused("invalid_request", reason="several_credentials"):
        introspection.parse([bearer, bearer], a_form(token=KEY), NOTHING, "dw")


@pytest.mark.parametrize("who", [the_client(), the_verifier(), a_bearer()])
@pytest.mark.parametrize("name", ["token", "token_sha256", "client_secret", "client_assertion"])
def test_a_secret_in_the_url_is_refused_whoever_asks(who: Who, name: str) -> None:
    with refused("invalid_request", reason="secret_in_query"):
        introspect(who, a_key(), query=a_form(**{name: "x"}), token=KEY)


@pytest.mark.parametrize(("who", "noun"), [(the_client(), "client"), (the_verifier(), "verifier")])
def test_the_right_secret_in_the_url_is_recorded(who: Who, noun: str) -> None:
    query = a_form(client_id=f"{noun}_1", client_secret=CLIENT_SECRET if noun == "client" else VERIFIER_SECRET)
    record = CredentialRefused(noun, f"{noun}_1", "secret_in_query")
    with refused("invalid_request", reason="secret_in_query", events=(record,)):
        introspect(who, a_key(), query=query, token=KEY)


def test_a_caller_is_of_the_kind_that_is_known_of_him() -> None:
    for who in (replace(the_client(), facts=an_admin_key()), replace(a_bearer(), facts=a_client())):
        with refused("invalid_client" if who.authorization.startswith(b"Basic") else "invalid_token"):
            introspect(who, a_key(), token=KEY)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (Who(basic("client_1", CLIENT_SECRET), a_client(state="disabled")), "client_disabled"),
        (Who(basic("client_1", CLIENT_SECRET), a_client(account=an_account(state="suspended"))), "account_suspended"),
    ],
)
def test_a_disabled_client_may_not_ask(who: Who, reason: str) -> None:
    with refused("invalid_client", reason=reason, events=(CredentialRefused("client", "client_1", reason),)):
        introspect(who, OPAQUE_FACTS, token=OPAQUE)


def test_a_revoked_verifier_may_not_ask() -> None:
    record = CredentialRefused("verifier", "verifier_1", "credential_revoked")
    with refused("invalid_client", reason="credential_revoked", events=(record,)):
        introspect(the_verifier(state="revoked"), a_key(), token=KEY)


# Admin keys


@pytest.mark.parametrize("text", ["", "x", ADMIN_KEY[:-1], " " + ADMIN_KEY, "é" + ADMIN_KEY, JWT])
def test_a_malformed_admin_key_is_no_bearer(text: str) -> None:
    with refused("invalid_token", reason="credential_malformed"):
        introspect(Who(b"Bearer " + text.encode(), None), token=KEY)


@pytest.mark.parametrize("text", [KEY, OPAQUE, CLIENT_SECRET, VERIFIER_SECRET, REFRESH_TOKEN])
def test_a_secret_of_another_kind_is_no_admin_key_even_if_it_were_kept_as_one(text: str) -> None:
    with refused("invalid_token", reason="credential_unknown"):
        introspect(Who(b"Bearer " + text.encode(), an_admin_key(text)), a_key(), token=KEY)


def test_the_name_of_the_bearer_scheme_has_no_case() -> None:
    who = replace(a_bearer(), authorization=b"bEARER " + ADMIN_KEY.encode())
    assert introspect(who, a_key(), token=KEY).reply.active


def test_an_unknown_admin_key_may_not_ask() -> None:
    for facts in (None, an_admin_key(a_secret("a", seed="other"))):
        with refused("invalid_token", reason="credential_unknown"):
            introspect(replace(a_bearer(), facts=facts), a_key(), token=KEY)


@pytest.mark.parametrize("allowed", ["keys:write", "clients:read", "leaks:verify"])
def test_an_admin_key_needs_the_scope_to_read_keys(allowed: str) -> None:
    forms: tuple[dict[str, Any], ...] = ({"token": KEY}, {"token_sha256": digest_of(KEY)})
    for form in forms:
        with refused("insufficient_scope", reason="insufficient_scope", fields={"scope": "keys:read"}):
            introspect(a_bearer(allowed=allowed), a_key(), **form)


def test_an_admin_key_may_ask_from_its_networks_alone() -> None:
    who = a_bearer(networks=("192.0.2.0/24",))
    assert introspect(who, a_key(), token=KEY).reply.active
    record = CredentialRefused("admin_key", "admin_1", "network_not_allowed")
    with refused("invalid_token", reason="network_not_allowed", events=(record,)):
        introspect(replace(who, address="198.51.100.1"), a_key(), token=KEY)


def test_an_ended_admin_key_may_not_ask() -> None:
    record = CredentialRefused("admin_key", "admin_1", "credential_expired")
    with refused("invalid_token", reason="credential_expired", events=(record,)):
        introspect(a_bearer(expires_at=EARLIER), a_key(), token=KEY)


# Work


def test_an_unknown_credential_costs_the_same_work_as_a_known_one() -> None:
    for text in (KEY, OPAQUE):
        for facts in (a_key(), OPAQUE_FACTS, None):
            assert _work(text, facts) == 2


def _work(text: str, facts: Any) -> int:
    who = the_verifier()
    request = introspection.parse([who.authorization], a_form(token=text), NOTHING, "dw")
    return work_of(introspection.decide, request, Facts(who.facts, facts))


def test_the_digest_of_what_is_asked_about_is_all_that_a_request_keeps_of_a_key() -> None:
    request = introspection.parse([basic("verifier_1", "s")], a_form(token=KEY), NOTHING, "dw")
    assert request.about == Presented("api_key", KEY[8:20], api_key.digest(KEY))


# For how long an answer may be given again


def told(who: Who, about: ApiKeyFacts | TokenFacts, text: str, **form: Any) -> tuple[Introspection, Facts]:
    return introspect(who, about, token=text, **form).reply, Facts(who.facts, about, published())


TWO_SECRETS = (*a_verifier().secrets, kept(a_secret(seed="new"), "verifier_1"))
ENDS = {
    "a key": (the_verifier(), a_key(expires_at=NOW + 60), KEY, NOW + 60),
    "an opaque token": (the_verifier(), OPAQUE_FACTS, OPAQUE, NOW + 300),
    "a jwt": (the_client(), JWT_FACTS, JWT, NOW + 300),
    "an admin key": (a_bearer(expires_at=NOW + 9), JWT_FACTS, JWT, NOW + 9),
    "a key whose second secret nobody used": (
        the_verifier(), replace(a_key(), waiting=replace(kept(a_secret(seed="old"), "key_1"), overlap=60)), KEY, NOW,
    ),
    "a quota": (the_verifier(), a_key(limits=(Limit("monthly", 9, "month", "quota"),)), KEY, NOW),
    "a caller with two secrets": (
        Who(basic("verifier_1", VERIFIER_SECRET), replace(a_verifier(), secrets=TWO_SECRETS)), JWT_FACTS, JWT, NOW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS)
def test_the_same_is_told_until_something_of_it_ends(case: str) -> None:
    who, about, text, ends_at = ENDS[case]
    assert introspection.ends_at(*told(who, about, text), NOW) == ends_at


def test_what_is_inactive_is_never_told_from_memory() -> None:
    assert introspection.ends_at(*told(the_verifier(), a_key(state="revoked"), KEY), NOW) == NOW


def test_a_key_without_an_end_is_told_while_its_facts_are_the_same() -> None:
    assert introspection.ends_at(*told(the_verifier(), a_key(expires_at=None), KEY), NOW) == FOREVER


def test_each_time_that_it_is_told_is_a_use_at_its_own_time() -> None:
    decision = introspect(the_verifier(), a_key(), token=KEY, address="192.0.2.7")
    (used,) = decision.uses
    assert introspection.counted(decision.reply, NOW + 7) == (replace(used, last_used_at=NOW + 7),)
