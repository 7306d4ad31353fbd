"""Refresh token grant, RFC 6749 §6: rotation, retries within the overlap, and the end of a family that was replayed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import a_public_app, a_refresh_token, an_app, granted
from tests.protocol.given import (
    CLIENT_SECRET,
    IDENTIFIER,
    NOW,
    POLICY,
    REFRESH_TOKEN,
    a_form,
    a_grant,
    a_moment,
    a_secret,
    a_user,
    a_user_grant,
    an_account,
    credentials,
    refused,
    scope,
    signing_keys,
)

from doorward.protocol.authorization_events import RefreshTokenRotated
from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials
from doorward.protocol.decision import Decision
from doorward.protocol.entities import RefreshToken
from doorward.protocol.events import AccessTokenIssued, CredentialRefused, GrantRevoked
from doorward.protocol.grant import UserGrantFacts
from doorward.protocol.grant_types import refresh_token
from doorward.protocol.policy import DAY
from doorward.protocol.refusal import Refusal
from doorward.protocol.token import TokenResponse

BOTH = scope("read write")
OF = granted(grant=a_user_grant(scope=BOTH))
KEPT = a_refresh_token(scope=BOTH)


def refresh(
    known: RefreshToken | None = KEPT, of: UserGrantFacts = OF, *, text: str = REFRESH_TOKEN,
    successor: RefreshToken | None = None, client: ClientFacts | None = None, shown: ClientCredentials | None = None,
    now: int = NOW, seed: object = 0, **form: str,
) -> Decision[TokenResponse]:  # fmt: skip
    request = refresh_token.parse(shown or credentials(), a_form(refresh_token=text, **form))
    facts = refresh_token.Facts(client or an_app(), known, successor, of, signing_keys())
    return refresh_token.decide(request, facts, POLICY, a_moment(now, seed))


def rotation(decision: Decision[TokenResponse]) -> RefreshTokenRotated:
    event = decision.events[0]
    assert isinstance(event, RefreshTokenRotated)
    return event


def rotated(seed: object = 0) -> tuple[str, RefreshToken, RefreshToken]:
    """The successor's text, the token that it replaced, and what is kept of it."""
    decision = refresh(seed=seed)
    assert decision.reply.refresh_token is not None
    return decision.reply.refresh_token, rotation(decision).refresh_token, rotation(decision).successor


def test_each_use_gives_another_refresh_token_and_an_access_token() -> None:
    decision = refresh()
    event, token = decision.events
    assert isinstance(event, RefreshTokenRotated)
    assert isinstance(token, AccessTokenIssued)
    assert decision.reply.refresh_token != REFRESH_TOKEN
    assert event.refresh_token.rotated_at == NOW
    assert event.refresh_token.successor_id == event.successor.id
    assert refresh_token.is_it(decision.reply.refresh_token or "", event.successor, POLICY)
    assert (decision.reply.claims["sub"], decision.reply.claims["aud"]) == ("user_1", IDENTIFIER)


def test_the_family_ends_when_it_was_to_end_however_often_it_is_used() -> None:
    """T057: idle and absolute lifetime."""
    soon = replace(KEPT, ends_at=NOW + DAY)
    assert rotation(refresh()).successor.expires_at == NOW + POLICY.refresh_token_idle_lifetime
    assert rotation(refresh()).successor.ends_at == KEPT.ends_at
    assert rotation(refresh(soon)).successor.expires_at == NOW + DAY
    for fields in ({"expires_at": NOW}, {"ends_at": NOW}):
        note = CredentialRefused("refresh_token", KEPT.id, "grant_invalid")
        with refused("invalid_grant", reason="grant_invalid", events=(note,)):
            refresh(replace(KEPT, **fields))


def test_the_first_of_a_family_has_both_lifetimes() -> None:
    made = refresh_token.first(OF.grant, POLICY, a_moment()).events[0]
    assert made.refresh_token.expires_at == NOW + POLICY.refresh_token_idle_lifetime  # type: ignore[union-attr]
    assert made.refresh_token.ends_at == NOW + POLICY.refresh_token_lifetime  # type: ignore[union-attr]


def test_a_retry_does_not_outlive_the_family() -> None:
    """T057: the overlap is no way around its end, and who comes after both is a replay as ever."""
    soon = replace(KEPT, ends_at=NOW + 3)
    event = rotation(refresh(soon))
    assert refresh(event.refresh_token, successor=event.successor, now=NOW + 2).reply.refresh_token
    note = CredentialRefused("refresh_token", KEPT.id, "grant_invalid")
    with refused("invalid_grant", reason="grant_invalid", events=(note,)):
        refresh(event.refresh_token, successor=event.successor, now=NOW + 3)
    with refused("invalid_grant", reason="refresh_token_replayed", events=replay(NOW + 11)):
        refresh(event.refresh_token, successor=event.successor, now=NOW + 11)


class TestRetry:
    """T052, decision 6."""

    @pytest.mark.parametrize("late", [0, 1, POLICY.refresh_token_overlap])
    def test_it_gets_the_same_successor_and_a_fresh_access_token(self, late: int) -> None:
        text, old, new = rotated()
        decision = refresh(old, successor=new, now=NOW + late, seed="another chance")
        assert decision.reply.refresh_token == text
        assert [type(event) for event in decision.events] == [AccessTokenIssued]

    def test_after_the_overlap_it_is_a_replay(self) -> None:
        _, old, new = rotated()
        with refused("invalid_grant", reason="refresh_token_replayed", events=replay(NOW + 11)):
            refresh(old, successor=new, now=NOW + 11)

    def test_once_the_successor_was_used_it_is_a_replay(self) -> None:
        """Whoever used it has heard of it: only the generation before the living one may be late."""
        _, old, new = rotated()
        with refused("invalid_grant", reason="refresh_token_replayed", events=replay(NOW)):
            refresh(old, successor=replace(new, rotated_at=NOW))

    def test_without_its_successor_it_is_a_replay(self) -> None:
        _, old, _ = rotated()
        with refused("invalid_grant", reason="refresh_token_replayed", events=replay(NOW)):
            refresh(old)

    def test_with_an_overlap_of_nothing_there_is_no_retry_even_in_the_same_second(self) -> None:
        _, old, new = rotated()
        strict = replace(POLICY, refresh_token_overlap=0)
        request = refresh_token.parse(credentials(), a_form(refresh_token=REFRESH_TOKEN))
        facts = refresh_token.Facts(an_app(), old, new, OF, signing_keys())
        with pytest.raises(Refusal) as caught:
            refresh_token.decide(request, facts, strict, a_moment(NOW))
        assert caught.value.reason == "refresh_token_replayed"

    def test_a_grant_that_was_ended_on_purpose_is_dead_within_the_overlap(self) -> None:
        _, old, new = rotated()
        for fields in ({"revoked_at": NOW}, {"tokens_revoked_at": NOW}):
            with pytest.raises(Refusal) as caught:
                refresh(old, granted(grant=a_user_grant(**fields)), successor=new)
            assert caught.value.reason == "grant_ended"

    def test_another_client_gets_nothing_within_it_either(self) -> None:
        _, old, new = rotated()
        with refused("invalid_grant", reason="grant_invalid"):
            refresh(replace(old, client_id="client_2"), successor=new)

    def test_neither_events_nor_rows_hold_the_successor_in_a_readable_form(self) -> None:
        text, old, new = rotated()
        assert old.successor is not None
        assert text.encode() not in old.successor
        assert text not in repr((old, new, refresh()))

    def test_only_the_text_of_the_old_one_opens_it(self) -> None:
        """Whoever has the database has no token; the id that both share is no help."""
        from cryptography.exceptions import InvalidTag

        text, old, _ = rotated()
        assert refresh_token._opened(REFRESH_TOKEN, old) == text
        for other in (a_secret("r", seed="other"), old.id, "", REFRESH_TOKEN[:-1]):
            with pytest.raises(InvalidTag):
                refresh_token._opened(other, old)
        with pytest.raises(InvalidTag):
            refresh_token._opened(REFRESH_TOKEN, replace(old, id="anotherToken"))


def replay(now: int) -> tuple[Any, ...]:
    note = CredentialRefused("refresh_token", "grant_u", "refresh_token_replayed")
    return GrantRevoked(replace(OF.grant, revoked_at=now, version=2)), note


@pytest.mark.parametrize("text", ["", "x", CLIENT_SECRET, REFRESH_TOKEN[:-1], REFRESH_TOKEN + "a", "é", a_secret("o")])
def test_what_is_no_refresh_token_has_no_id(text: str) -> None:
    assert refresh_token.id_of(text, "dw") is None
    assert refresh_token.id_of(REFRESH_TOKEN, "dw") == KEPT.id
    assert refresh_token.id_of(REFRESH_TOKEN, "zz") is None


def test_an_unknown_token_is_refused_without_a_word_more() -> None:
    for known in (None, a_refresh_token("other"), replace(KEPT, mac=bytes(32)), replace(KEPT, client_id="client_2")):
        with refused("invalid_grant", reason="grant_invalid"):
            refresh(known)


def test_a_public_client_refreshes_its_own_and_no_other() -> None:
    """T054."""
    public = ClientCredentials("client_1", "", "none")
    assert refresh(client=a_public_app(), shown=public).reply.refresh_token
    with refused("invalid_grant"):
        refresh(replace(KEPT, client_id="client_2"), client=a_public_app(), shown=public)


def test_the_client_is_authenticated_first() -> None:
    for client, shown in ((an_app(), credentials(text="wrong")), (an_app(), ClientCredentials("client_1", "", "none"))):
        with refused("invalid_client"):
            refresh(None, client=client, shown=shown)


def test_the_client_must_be_registered_for_it() -> None:
    with refused("unauthorized_client"):
        refresh(client=an_app(grant_types=("authorization_code",)))


class TestScope:
    """T055."""

    def test_all_of_it_when_nothing_is_named(self) -> None:
        assert refresh().reply.scope == "read write"

    def test_less_for_this_access_token_and_no_less_for_the_next(self) -> None:
        decision = refresh(scope="read")
        assert decision.reply.scope == "read"
        assert rotation(decision).successor.scope == BOTH

    @pytest.mark.parametrize("wanted", ["admin", "read admin", "openid", "read openid"])
    def test_never_more(self, wanted: str) -> None:
        with refused("invalid_scope"):
            refresh(scope=wanted)

    def test_never_what_the_user_did_not_allow(self) -> None:
        assert refresh(of=granted()).reply.scope == "read"
        with refused("invalid_scope"):
            refresh(of=granted(), scope="write")

    def test_less_where_an_administrator_allows_the_client_less(self) -> None:
        assert refresh(client=an_app(a_grant(allowed="write"))).reply.scope == "write"
        with refused("invalid_grant", reason="grant_ended"):
            refresh(of=granted(), client=an_app(a_grant(allowed="write")))

    def test_a_malformed_one_is_refused(self) -> None:
        with refused("invalid_scope"):
            refresh(scope="read  write")


@pytest.mark.parametrize(
    "of",
    [
        granted(user=a_user(state="disabled")), granted(grant=a_user_grant(revoked_at=NOW)),
        granted(grant=a_user_grant(tokens_revoked_at=NOW)), granted(session_has_ended=True),
        granted(acts_for_account=False),
    ],
)  # fmt: skip
def test_what_was_ended_gives_nothing_any_more(of: UserGrantFacts) -> None:
    """T056."""
    with refused(
        "invalid_grant", reason="grant_ended", events=(CredentialRefused("refresh_token", KEPT.id, "grant_ended"),)
    ):
        refresh(of=of)


@pytest.mark.parametrize("fields", [{"state": "disabled"}, {"account": an_account(state="suspended")}])
def test_a_client_that_was_stopped_gets_nothing(fields: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        refresh(client=an_app(**fields))
    assert caught.value.error == "invalid_client"


def test_who_may_act_while_the_user_is_away_outlives_his_session() -> None:
    lasting = scope("read offline_access")
    of = granted(grant=a_user_grant(scope=lasting), session_has_ended=True)
    assert "sid" not in refresh(a_refresh_token(scope=lasting), of).reply.claims


def test_the_resource_is_that_of_the_grant() -> None:
    assert refresh(resource=IDENTIFIER).reply.claims["aud"] == IDENTIFIER
    with refused("invalid_target"):
        refresh(resource="https://other.example.com")


def test_the_token_is_in_no_repr() -> None:
    request = refresh_token.parse(credentials(), a_form(refresh_token=REFRESH_TOKEN))
    assert REFRESH_TOKEN not in repr(request) + repr(refresh())


class TestIdToken:
    """OpenID Connect Core §12.2."""

    of = granted(grant=a_user_grant(scope=scope("read openid"), auth_time=NOW - 60, acr="1"))
    known = a_refresh_token(scope=scope("read openid"))

    def test_it_tells_of_the_same_sign_in_and_has_no_nonce(self) -> None:
        made = refresh(self.known, self.of, now=NOW + 500).reply.id_token
        assert made is not None
        assert made.claims == {
            "iss": POLICY.issuer, "sub": "user_1", "aud": "client_1", "iat": NOW + 500, "exp": NOW + 800,
            "auth_time": NOW - 60, "acr": "1", "sid": "session_1",
        }  # fmt: skip

    def test_a_token_of_less_scope_has_none(self) -> None:
        assert refresh(self.known, self.of, scope="read").reply.id_token is None

    def test_a_retry_gets_one_too(self) -> None:
        first = refresh(self.known, self.of)
        event = rotation(first)
        again = refresh(event.refresh_token, self.of, successor=event.successor, now=NOW + 5)
        assert again.reply.id_token is not None
