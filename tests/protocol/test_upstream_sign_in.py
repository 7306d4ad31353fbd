"""Signing in elsewhere: bound to the browser that left, and over as soon as it is back."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from tests.protocol.allowed import an_authorization
from tests.protocol.elsewhere import ACME, COOKIE, NONCE, PAGE, STATE, a_page, a_sign_in, with_upstreams
from tests.protocol.given import NOW, POLICY, a_moment, refused, scope, signing_keys

from doorward.protocol import interaction, upstream_sign_in
from doorward.protocol.decision import Decision
from doorward.protocol.upstream_events import UpstreamSignInBegun, UpstreamSignInEnded
from doorward.protocol.upstream_sign_in import (
    PROOF_LIFETIME,
    WAITING_HERE_LIMIT,
    WAITING_LIMIT,
    Arrive,
    ArriveFacts,
    Begin,
    BeginFacts,
    Departure,
    Expected,
)

BEGIN = Begin("acme", "authorization_1", "192.0.2.1", COOKIE)
ARRIVE = Arrive("acme", STATE, COOKIE)


def begin(request: Begin = BEGIN, facts: BeginFacts | None = None) -> Decision[Departure]:
    return upstream_sign_in.begin(request, facts or BeginFacts(), with_upstreams(ACME, a_page()), a_moment())


def arrive(request: Arrive = ARRIVE, facts: ArriveFacts | None = None) -> Decision[Expected]:
    known = ArriveFacts(a_sign_in()) if facts is None else facts
    return upstream_sign_in.arrive(request, known, with_upstreams(ACME, a_page()), a_moment())


def test_a_sign_in_is_a_row_that_holds_nothing_to_finish_it_with() -> None:
    decision = begin()
    (event,) = decision.events
    assert isinstance(event, UpstreamSignInBegun)
    kept, left = event.sign_in, decision.reply
    assert (kept.id, kept.upstream, kept.request_id, kept.ended_at) == (left.state, "acme", "authorization_1", None)
    assert kept.digest == interaction.digest(COOKIE)
    secrets = (left.nonce, left.verifier, left.cookie)
    assert not any(secret in str(event) for secret in secrets)
    assert kept.expires_at == NOW + POLICY.authorization_lifetime


def test_nonce_and_verifier_are_of_this_cookie_this_state_and_nothing_else() -> None:
    made = {
        made(cookie, state)
        for made in (upstream_sign_in.nonce, upstream_sign_in.verifier)
        for cookie in (COOKIE, "v" * 43)
        for state in (STATE, "upstream_2")
    }
    assert len(made) == 8
    assert all(len(one) == 43 for one in made)
    left = begin().reply
    assert left.nonce == upstream_sign_in.nonce(COOKIE, left.state)
    assert left.verifier == upstream_sign_in.verifier(COOKIE, left.state)


@pytest.mark.parametrize("cookie", [None, "short", "u" * 42 + "!"])
def test_a_browser_without_a_cookie_of_ours_gets_one(cookie: str | None) -> None:
    decision = begin(replace(BEGIN, cookie=cookie))
    assert decision.reply.cookie != cookie
    assert interaction.is_cookie(decision.reply.cookie)
    assert begin().reply.cookie == COOKIE


def test_what_the_client_asks_of_the_sign_in_binds_the_upstream_too() -> None:
    def left(**asked: object) -> tuple[str | None, int | None]:
        decision = begin(facts=BeginFacts(an_authorization(**asked)))
        (event,) = decision.events
        assert isinstance(event, UpstreamSignInBegun)
        assert event.sign_in.max_age == decision.reply.max_age
        return decision.reply.prompt, decision.reply.max_age

    assert left() == (None, None)
    assert left(max_age=300) == (None, 300)
    assert left(max_age=0) == ("login", 0)
    assert left(prompt=scope("login consent"), max_age=300) == ("login", 0)
    assert left(prompt=scope("select_account")) == ("select_account", None)
    assert begin().reply.max_age is None


def test_hints_travel_along() -> None:
    left = begin(facts=BeginFacts(an_authorization(login_hint="ada", ui_locales="de"))).reply
    assert (left.login_hint, left.ui_locales) == ("ada", "de")


def test_a_page_of_ones_own_is_asked_by_a_signed_request() -> None:
    left = begin(replace(BEGIN, upstream="shop"), BeginFacts(an_authorization(max_age=60), keys=signing_keys())).reply
    assert left.signing_key is not None
    assert left.signing_key.algorithm == "ES256"
    assert upstream_sign_in.handed_over(left, POLICY) == {
        "iss": POLICY.issuer, "aud": "https://shop.example", "iat": NOW, "exp": NOW + 300, "state": left.state,
        "nonce": left.nonce, "return_to": f"{POLICY.issuer}/login/upstream/shop/callback", "max_age": 60,
    }  # fmt: skip
    assert left.upstream.page == PAGE
    assert begin().reply.signing_key is None


def test_an_upstream_that_the_settings_do_not_name_is_none() -> None:
    with refused("not_found", reason="upstream_unknown"):
        begin(replace(BEGIN, upstream="evil"))
    with refused("not_found", reason="upstream_unknown"):
        arrive(replace(ARRIVE, upstream="evil"))


@pytest.mark.parametrize("facts", [BeginFacts(waiting=WAITING_LIMIT), BeginFacts(waiting_here=WAITING_HERE_LIMIT)])
def test_nobody_begins_without_end(facts: BeginFacts) -> None:
    with refused("slow_down", reason="authorizations_waiting"):
        begin(facts=facts)


def test_who_comes_back_brings_it_once() -> None:
    decision = arrive()
    kept = a_sign_in(ended_at=NOW, expires_at=NOW + 600)
    assert decision.events == (UpstreamSignInEnded(kept),)
    assert decision.reply == Expected(
        ACME, "authorization_1", NONCE, upstream_sign_in.verifier(COOKIE, STATE), NOW - 30, None
    )


@pytest.mark.parametrize(
    ("request_", "facts"),
    [
        (ARRIVE, ArriveFacts()),
        (replace(ARRIVE, cookie=None), ArriveFacts(a_sign_in())),
        (replace(ARRIVE, cookie="v" * 43), ArriveFacts(a_sign_in())),
        (replace(ARRIVE, upstream="shop"), ArriveFacts(a_sign_in())),
        (ARRIVE, ArriveFacts(a_sign_in(ended_at=NOW - 1))),
        (ARRIVE, ArriveFacts(a_sign_in(expires_at=NOW))),
    ],
    ids=["unknown", "without its cookie", "another browser", "another upstream", "a second time", "too late"],
)
def test_anything_else_is_refused_and_ends_nothing(request_: Arrive, facts: ArriveFacts) -> None:
    with refused("invalid_request", reason="upstream_over"):
        arrive(request_, facts)


def test_an_assertion_is_good_once_even_for_another_sign_in() -> None:
    proof = hashlib.sha256(b"jti").hexdigest()
    facts = ArriveFacts(a_sign_in(upstream="shop"))
    (event,) = arrive(Arrive("shop", STATE, COOKIE, proof), facts).events
    assert isinstance(event, UpstreamSignInEnded)
    assert (event.sign_in.proof, event.sign_in.expires_at) == (proof, NOW + PROOF_LIFETIME)
    ended = UpstreamSignInEnded(replace(event.sign_in, proof=None))
    with refused("invalid_request", reason="upstream_over", events=(ended,)):
        arrive(Arrive("shop", STATE, COOKIE, proof), replace(facts, is_proof_known=True))
