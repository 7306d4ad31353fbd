"""Client authentication, RFC 6749 §2.3: one method, the registered one, one answer for every failure: T040-T045."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from tests.protocol.given import (
    CLIENT_SECRET,
    EARLIER,
    NOW,
    POLICY,
    VERIFIER_SECRET,
    a_client,
    a_form,
    a_moment,
    a_secret,
    a_verifier,
    an_account,
    basic,
    credentials,
    kept,
    refused,
    work_of,
)

from doorward.protocol.client import ClientFacts
from doorward.protocol.client_authentication import ClientCredentials, authenticate, authenticate_verifier, parse
from doorward.protocol.entities import Client
from doorward.protocol.events import CredentialRefused
from doorward.protocol.form import Form
from doorward.protocol.refusal import Refusal
from doorward.protocol.verifier import VerifierFacts

NOTHING = Form({})
WRONG = a_secret("s", seed="wrong")


def encoded(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


def admit(shown: ClientCredentials | None = None, facts: ClientFacts | None = None, now: int = NOW) -> Client:
    return authenticate(shown or credentials(), facts, POLICY, a_moment(now))


def refusal_of(shown: ClientCredentials, facts: ClientFacts | None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admit(shown, facts)
    return caught.value


def told(refusal: Refusal) -> tuple[object, ...]:
    """Everything of a refusal that its answer shows, but for the reason."""
    return refusal.status, refusal.error, refusal.description, refusal.fields


# What is presented, and how


def test_a_client_may_authenticate_with_basic() -> None:
    assert parse([basic("client_1", "secret")], NOTHING) == credentials("client_1", "secret")


def test_a_client_may_authenticate_in_the_body() -> None:
    shown = parse([], a_form(client_id="client_1", client_secret="secret"))
    assert shown == credentials("client_1", "secret", "client_secret_post")


def test_basic_credentials_are_form_encoded_before_they_are_base64() -> None:
    shown = parse([encoded(b"a%3Ab+c:%C3%A9:%2B")], NOTHING)
    assert (shown.client_id, shown.secret) == ("a:b c", "é:+")


def test_the_name_of_the_scheme_has_no_case() -> None:
    assert parse([b"bAsIc " + basic("client_1", "s")[6:]], NOTHING).client_id == "client_1"


def test_the_client_id_may_stand_in_the_body_too_when_it_is_the_same() -> None:
    assert parse([basic("client_1", "s")], a_form(client_id="client_1")).client_id == "client_1"
    with refused("invalid_request", reason="request_malformed"):
        parse([basic("client_1", "s")], a_form(client_id="client_2"))


def test_the_secret_is_not_shown_in_a_repr() -> None:
    assert "secret-text" not in repr(credentials(text="secret-text"))


@pytest.mark.parametrize(
    ("authorization", "form"),
    [
        ([basic("client_1", "s")], a_form(client_secret="s")),
        ([basic("client_1", "s")], a_form(client_id="client_1", client_secret="s")),
        ([b"Bearer x"], a_form(client_id="client_1", client_secret="s")),
        ([basic("client_1", "s"), basic("client_1", "s")], NOTHING),
        ([basic("client_1", "s"), b"Bearer x"], NOTHING),
    ],
)
def test_more_than_one_method_is_refused(authorization: list[bytes], form: Form) -> None:
    with refused("invalid_request", reason="several_credentials"):
        parse(authorization, form)


@pytest.mark.parametrize("form", [NOTHING, a_form(client_secret="s")])
def test_who_does_not_say_who_he_is_is_not_authenticated(form: Form) -> None:
    with refused("invalid_client", reason="client_unauthenticated", fields={}):
        parse([], form)


def test_a_client_that_shows_no_secret_is_not_authenticated() -> None:
    shown = parse([], a_form(client_id="client_1"))
    for client in (None, a_client()):
        with refused("invalid_client", reason="client_unauthenticated", fields={}):
            authenticate(shown, client, POLICY, a_moment())


def test_a_public_client_is_itself_by_its_name_alone() -> None:
    public = a_client(token_endpoint_auth_method="none", secrets=())
    assert authenticate(parse([], a_form(client_id="client_1")), public, POLICY, a_moment()) == public.client


def test_a_public_client_that_shows_a_secret_is_somebody_else() -> None:
    """T043."""
    public = a_client(token_endpoint_auth_method="none", secrets=())
    for shown in (parse([], a_form(client_id="client_1", client_secret="s")), parse([basic("client_1", "s")], NOTHING)):
        with refused("invalid_client"):
            authenticate(shown, public, POLICY, a_moment())


@pytest.mark.parametrize("header", [b"Bearer x", b"Digest x", b"", b"Basic-ish eA=="])
def test_another_scheme_is_no_client_authentication(header: bytes) -> None:
    with refused("invalid_client", fields={}):
        parse([header], NOTHING)


@pytest.mark.parametrize(
    "header",
    [
        b"Basic",
        b"Basic ",
        b"Basic ====",
        b"Basic a:b",
        b"Basic YTpi\n",
        b"Basic  YTpi",
        b"Basic YTpi ",
        b"Basic YTpiYg",  # no padding
        b"Basic YTpiYh==",  # bits beyond the last byte
        b"Basic YTpi====",
        b"Basic YTrDv8O_",  # base64url
        b"Basic YTpi\xff",
        encoded(b"no colon"),
        encoded(b":secret"),
        encoded(b"client_1:"),
        encoded(b"client_1:\xff"),
        encoded(b"\xc3\x28:s"),
        encoded(b"client_1:%zz"),
        encoded(b"client%:s"),
        encoded(b"client_1:%00"),
        encoded(b"client\x001:s"),
    ],
)
def test_basic_is_decoded_strictly(header: bytes) -> None:
    with refused("invalid_client", reason="client_unauthenticated", fields={"authenticate": "Basic"}):
        parse([header], NOTHING)


# A secret in the URL


@pytest.mark.parametrize("name", ["client_secret", "client_assertion", "token", "token_sha256"])
def test_a_secret_in_the_url_is_refused(name: str) -> None:
    for authorization in ([], [basic("client_1", "s")], [basic("client_1", "s")] * 2):
        with refused("invalid_request", reason="secret_in_query"):
            parse(authorization, NOTHING, a_form(**{name: "x"}))


def test_what_is_no_secret_may_stand_in_the_url() -> None:
    query = Form({"scope": ("read",), "client_id": ("client_9",), "client_secret": ()})
    assert parse([basic("client_1", "s")], NOTHING, query).client_id == "client_1"


@pytest.mark.parametrize(
    ("form", "query"),
    [
        (NOTHING, a_form(client_id="client_1", client_secret=CLIENT_SECRET)),
        (a_form(client_id="client_1"), a_form(client_secret=CLIENT_SECRET)),
        (a_form(client_id="client_1", client_secret=CLIENT_SECRET), a_form(client_secret=CLIENT_SECRET)),
    ],
)
def test_the_right_secret_in_the_url_is_recorded_as_exposed(form: Form, query: Form) -> None:
    shown = parse([], form, query)
    record = CredentialRefused("client", "client_1", "secret_in_query")
    with refused("invalid_request", reason="secret_in_query", events=(record,)):
        admit(shown, a_client())


def test_a_secret_in_the_url_gets_the_same_answer_whether_it_was_right_or_not() -> None:
    right, wrong = (credentials(text=text, method="query") for text in (CLIENT_SECRET, WRONG))
    answers = [refusal_of(right, a_client()), refusal_of(wrong, a_client()), refusal_of(right, None)]
    with refused("invalid_request", reason="secret_in_query") as caught:
        parse([], NOTHING, a_form(client_secret="x"))
    answers.append(caught.value)
    assert len({(told(answer), answer.reason) for answer in answers}) == 1
    assert [answer.events != () for answer in answers] == [True, False, False, False]


def test_a_disabled_client_in_the_url_is_told_of_the_url() -> None:
    record = CredentialRefused("client", "client_1", "secret_in_query")
    with refused("invalid_request", events=(record,)):
        admit(credentials(method="query"), a_client(state="disabled"))


# Who it is


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_right_secret_makes_the_client(method: str) -> None:
    facts = a_client()
    assert admit(credentials(method=method), facts) == facts.client


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
def test_the_registered_method_is_enforced(registered: str) -> None:
    facts = a_client(token_endpoint_auth_method=registered)
    (other,) = {"client_secret_basic", "client_secret_post"} - {registered}
    assert admit(credentials(method=registered), facts) == facts.client
    record = CredentialRefused("client", "client_1", "client_unauthenticated")
    with refused("invalid_client", reason="client_unauthenticated", events=(record,)):
        admit(credentials(method=other), facts)


STRANGERS = [
    (credentials(), None),
    (credentials(text=WRONG), a_client()),
    (credentials(text=""), a_client()),
    (credentials(text=CLIENT_SECRET[:-1]), a_client()),
    (credentials(text=CLIENT_SECRET + "0"), a_client()),
    (credentials(text=WRONG), a_client(state="disabled")),
    (credentials(text=WRONG), a_client(token_endpoint_auth_method="client_secret_post")),
    (credentials(), a_client(secrets=())),
    (credentials(), a_client(secrets=(kept(CLIENT_SECRET, "client_1", revoked_at=EARLIER),))),
    (credentials(), a_client(secrets=(kept(CLIENT_SECRET, "client_1", expires_at=NOW),))),
]
HOLDERS = {
    "client_disabled": a_client(state="disabled"),
    "account_suspended": a_client(account=an_account(state="suspended")),
    "client_unauthenticated": a_client(token_endpoint_auth_method="client_secret_post"),
}


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_whoever_has_not_the_secret_gets_one_answer_and_leaves_no_record(method: str) -> None:
    refusals = [refusal_of(replace(shown, method=method), facts) for shown, facts in STRANGERS]
    assert {(told(refusal), refusal.reason, refusal.events) for refusal in refusals} == {
        (told(refusals[0]), "client_unauthenticated", ())
    }
    assert refusals[0].status == 401
    assert dict(refusals[0].fields) == ({"authenticate": "Basic"} if method == "client_secret_basic" else {})


@pytest.mark.parametrize("reason", HOLDERS)
def test_whoever_has_the_secret_gets_the_same_answer_and_learns_the_reason(reason: str) -> None:
    refusal = refusal_of(credentials(), HOLDERS[reason])
    assert told(refusal) == told(refusal_of(credentials(), None))
    assert refusal.reason == reason
    assert refusal.events == (CredentialRefused("client", "client_1", reason),)


def test_every_failure_costs_the_same_work() -> None:
    cases = [*STRANGERS, *((credentials(), facts) for facts in HOLDERS.values()), (credentials(), a_client())]
    for shown, facts in cases:
        assert work_of(authenticate, shown, facts) == 1


def test_while_a_secret_is_rotated_the_old_one_works_until_it_ends_and_then_never() -> None:
    old = kept(WRONG, "client_1", expires_at=NOW + 60)
    facts = a_client(secrets=(old, kept(CLIENT_SECRET, "client_1")))
    for shown in (credentials(), credentials(text=WRONG)):
        assert admit(shown, facts) == facts.client
    assert admit(credentials(text=WRONG), facts, NOW + 59) == facts.client
    with refused("invalid_client"):
        admit(credentials(text=WRONG), facts, NOW + 60)
    assert admit(credentials(), facts, NOW + 60) == facts.client


def test_the_work_does_not_tell_which_of_two_secrets_was_right() -> None:
    facts = a_client(secrets=(kept(WRONG, "client_1"), kept(CLIENT_SECRET, "client_1")))
    for text in (WRONG, CLIENT_SECRET, a_secret("s", seed="neither")):
        assert work_of(authenticate, credentials(text=text), facts) == 2


# Verifiers


def admit_verifier(
    facts: VerifierFacts | None, text: str = VERIFIER_SECRET, method: str = "client_secret_basic"
) -> VerifierFacts:
    return authenticate_verifier(credentials("verifier_1", text, method), facts, POLICY, a_moment())


def test_a_verifier_authenticates_like_a_client() -> None:
    facts = a_verifier()
    for method in ("client_secret_basic", "client_secret_post"):
        assert admit_verifier(facts, method=method) == facts


@pytest.mark.parametrize(("facts", "text"), [(None, VERIFIER_SECRET), (a_verifier(), WRONG)])
def test_an_unknown_verifier_and_a_wrong_secret_are_answered_alike(facts: VerifierFacts | None, text: str) -> None:
    with refused("invalid_client", reason="client_unauthenticated") as caught:
        admit_verifier(facts, text)
    assert told(caught.value) == told(refusal_of(credentials(), None))
    assert work_of(authenticate_verifier, credentials("verifier_1", text), facts) == 1


def test_a_revoked_verifier_is_refused_and_that_is_recorded() -> None:
    record = CredentialRefused("verifier", "verifier_1", "credential_revoked")
    with refused("invalid_client", reason="credential_revoked", events=(record,)) as caught:
        admit_verifier(a_verifier(state="revoked"))
    assert told(caught.value) == told(refusal_of(credentials(), None))
    with refused("invalid_client", reason="client_unauthenticated"):
        admit_verifier(a_verifier(state="revoked"), WRONG)


def test_a_verifiers_secret_in_the_url_is_recorded_when_it_was_the_right_one() -> None:
    record = CredentialRefused("verifier", "verifier_1", "secret_in_query")
    with refused("invalid_request", reason="secret_in_query", events=(record,)):
        admit_verifier(a_verifier(), method="query")
    for facts in (a_verifier(), None):
        with refused("invalid_request", reason="secret_in_query"):
            admit_verifier(facts, WRONG, method="query")
