"""Logout tokens: what they say (Back-Channel Logout §2.4), and how often a client that took none is tried again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import an_app
from tests.protocol.given import (
    NOW,
    POLICY,
    a_logout_delivery,
    a_moment,
    a_signer,
    a_signing_key,
    refused,
    signing_keys,
)

from doorward.protocol import id_token, logout_token
from doorward.protocol.logout_token import EVENT, TRIES, Facts, LogoutToken, outcome, tried
from doorward.protocol.people import LogoutDelivery
from doorward.protocol.people_events import LogoutTokenDelivered, LogoutTokenUndelivered
from doorward_verify import jwt
from doorward_verify.errors import InvalidToken

URI = "https://client.example/logout"
OWED = a_logout_delivery()
FIRST = tried(OWED, NOW)


def issue(delivery: LogoutDelivery = FIRST, seed: object = 0, **fields: Any) -> LogoutToken | None:
    client = an_app(backchannel_logout_uri=URI, **fields).client
    return logout_token.issue(delivery, Facts(client, signing_keys()), POLICY, a_moment(seed=seed))


def made(**fields: Any) -> LogoutToken:
    found = issue(**fields)
    assert found is not None
    return found


def test_it_says_who_is_signed_out_where_and_nothing_else() -> None:
    found = made()
    assert found.uri == URI
    jti = found.claims["jti"]
    assert found.claims == {
        "iss": POLICY.issuer, "sub": "user_1", "aud": "client_1", "iat": NOW, "exp": NOW + 120, "jti": jti,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}}, "sid": "session_1",
    }  # fmt: skip


def test_each_try_has_a_token_of_its_own() -> None:
    assert made(seed=1).claims["jti"] != made(seed=2).claims["jti"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_it_is_signed_as_the_clients_id_tokens_are_and_has_a_type_of_its_own(algorithm: str) -> None:
    found = made(id_token_signed_response_alg=algorithm)
    text = a_signer().logout_token(found.claims, found.signing_key)
    header = jwt.parse(text).header
    assert (header["typ"], header["alg"], header["kid"]) == ("logout+jwt", algorithm, found.signing_key.id)
    keys = jwt.keys_from_jwks({"keys": [dict(found.signing_key.public_jwk)]})
    with pytest.raises(InvalidToken) as caught:
        id_token.read(text, keys, POLICY.issuer)
    assert caught.value.reason == "token_type_wrong"


def test_no_key_of_another_purpose_signs_it() -> None:
    with pytest.raises(AssertionError):
        a_signer().logout_token(made().claims, replace(a_signing_key(), purpose="feed"))


def test_without_a_key_it_has_to_wait() -> None:
    client = an_app(backchannel_logout_uri=URI).client
    with refused("temporarily_unavailable"):
        logout_token.issue(FIRST, Facts(client, ()), POLICY, a_moment())


def test_who_does_not_want_to_hear_any_more_is_not_told() -> None:
    assert logout_token.issue(FIRST, Facts(an_app().client, signing_keys()), POLICY, a_moment()) is None
    assert logout_token.issue(FIRST, Facts(None, signing_keys()), POLICY, a_moment()) is None


def test_there_are_five_tries_within_a_quarter_of_an_hour() -> None:
    delivery, begun = OWED, [0]
    for _ in range(TRIES):
        delivery = tried(delivery, delivery.next_at)
        begun.append(delivery.next_at - NOW)
    assert begun[:TRIES] == [0, 10, 60, 240, 840]
    assert delivery.attempts == TRIES == 5


def test_a_client_that_took_it_is_done_with() -> None:
    assert outcome(FIRST, None) == (LogoutTokenDelivered(FIRST),)


@pytest.mark.parametrize("attempts", range(1, TRIES))
def test_a_try_that_failed_says_nothing_while_others_come(attempts: int) -> None:
    assert outcome(replace(OWED, attempts=attempts), "unreachable") == ()


def test_the_last_try_that_failed_is_told() -> None:
    last = replace(OWED, attempts=TRIES)
    assert outcome(last, "status_500") == (LogoutTokenUndelivered(last, "status_500"),)


def test_a_client_that_is_gone_is_not_waited_for() -> None:
    assert outcome(FIRST, logout_token.UNREGISTERED) == (LogoutTokenUndelivered(FIRST, "unregistered"),)


def test_a_last_try_that_nobody_finished_is_not_tried_once_more() -> None:
    late = tried(replace(OWED, attempts=TRIES), NOW)
    assert issue(late) is None
    assert outcome(late, logout_token.UNREGISTERED) == (LogoutTokenUndelivered(late, "interrupted"),)


def test_the_event_is_the_one_of_the_specification() -> None:
    assert EVENT == "http://schemas.openid.net/event/backchannel-logout"
