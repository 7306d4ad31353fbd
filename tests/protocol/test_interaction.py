"""From an authorization request to its answer: who has to sign in, who is asked, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.protocol.allowed import (
    CALLBACK,
    COOKIE,
    a_public_app,
    a_waiting_request,
    an_app,
    an_authorization,
    known,
    signed_in,
)
from tests.protocol.given import (
    NOW,
    POLICY,
    a_grant,
    a_moment,
    a_session,
    a_user,
    a_user_grant,
    an_account,
    an_api,
    refused,
    scope,
)
from tests.protocol.test_authorization import ASKED

from doorward.protocol import interaction
from doorward.protocol.authorization import Authorization, parameters
from doorward.protocol.authorization_events import AuthorizationDenied, AuthorizationRequested, CodeIssued
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.entities import AuthorizationRequest, Grant
from doorward.protocol.interaction import (
    Answered,
    Browser,
    ComeAgain,
    Facts,
    Known,
    Page,
    Question,
    Request,
    Response,
    Resumed,
    WaitingFacts,
)
from doorward.protocol.refusal import Destination
from doorward.protocol.session import SessionFacts

TO = Destination(CALLBACK, "query", "af0ifjsldkj")
BEFORE = a_user_grant(account_id="acme")  # what the user allowed earlier: read
HERE = Browser("a session's digest", COOKIE, "192.0.2.1")


def begin(facts: Known, browser: Browser = HERE, *, crossed: bool = False, **changed: str) -> Decision[Any]:
    asked = parameters({**ASKED, "scope": "read", **changed}.items())
    return interaction.begin(Request(asked, browser, crossed), Facts(facts), POLICY, a_moment())


def resume(facts: Known, waiting: AuthorizationRequest | None = None, browser: Browser = HERE) -> Decision[Any]:
    row = a_waiting_request() if waiting is None else waiting
    return interaction.resume(Resumed(row.id, browser), WaitingFacts(row, facts), POLICY, a_moment())


def answer(facts: Known, waiting: AuthorizationRequest | None = None, **given: Any) -> Decision[Any]:
    row = a_waiting_request() if waiting is None else waiting
    chosen = {"allows": True, "scope": scope("read write"), **given}
    request = Answered(Resumed(row.id, HERE), **chosen)
    return interaction.answer(request, WaitingFacts(row, facts), POLICY, a_moment())


def issued(decision: Decision[Any]) -> CodeIssued:
    """The code's event; the answer carries its text, and the event does not."""
    assert isinstance(decision.reply, Response)
    assert decision.reply.destination == TO
    assert decision.reply.issuer == POLICY.issuer
    (event,) = decision.events
    assert isinstance(event, CodeIssued)
    assert event.code.digest == interaction.digest(decision.reply.code)
    assert decision.reply.code not in repr(event) + repr(decision.reply)
    return event


def waits(decision: Decision[Any], path: str) -> AuthorizationRequest:
    assert isinstance(decision.reply, Page)
    (event,) = decision.events
    assert isinstance(event, AuthorizationRequested)
    assert (decision.reply.path, decision.reply.request_id) == (path, event.request.id)
    return event.request


class TestBegin:
    def test_who_allowed_it_before_gets_a_code_at_once(self) -> None:
        event = issued(begin(known(None, signed_in(), BEFORE)))
        assert event.request is None
        assert event.grant == replace(BEFORE, id=event.grant.id, created_at=NOW, auth_time=NOW - 60, acr="1")
        assert event.code.grant_id == event.grant.id
        assert (event.code.expires_at, event.code.redeemed_at) == (NOW + 60, None)

    def test_a_code_is_256_bits_and_each_another(self) -> None:
        texts = {interaction.begin(
            Request(parameters({**ASKED, "scope": "read"}.items()), HERE), Facts(known(None, signed_in(), BEFORE)),
            POLICY, a_moment(seed=seed),
        ).reply.code for seed in range(50)}  # fmt: skip
        assert len(texts) == 50
        assert {len(text) for text in texts} == {43}

    def test_who_is_not_signed_in_has_to_be_first(self) -> None:
        row = waits(begin(known()), "/login")
        assert Authorization.of(row.asked) == an_authorization()
        assert row.expires_at == NOW + 900

    def test_who_did_not_allow_it_is_asked(self) -> None:
        for facts in (known(None, signed_in()), known(None, signed_in(), replace(BEFORE, scope=scope("write")))):
            assert waits(begin(facts), "/consent").session_id is None

    @pytest.mark.parametrize(
        "over",
        [
            replace(signed_in(), session=a_session(ended_at=NOW - 1)),
            replace(signed_in(), user=a_user(state="disabled")),
            replace(signed_in(), session=a_session(expires_at=NOW)),
            replace(signed_in(), last_seen_at=1, session=a_session(created_at=1)),
        ],
    )  # fmt: skip
    def test_a_session_that_is_over_is_none(self, over: SessionFacts) -> None:
        waits(begin(known(None, over, BEFORE)), "/login")

    @pytest.mark.parametrize(
        "changed", [{"prompt": "login"}, {"prompt": "select_account"}, {"max_age": "0"}, {"max_age": "59"}]
    )
    def test_who_must_sign_in_anew_is_not_let_through_by_the_session_that_he_has(self, changed: dict[str, str]) -> None:
        assert waits(begin(known(None, signed_in(), BEFORE), **changed), "/login").session_id == "session_1"

    def test_a_sign_in_that_is_new_enough_is_enough(self) -> None:
        issued(begin(known(None, signed_in(), BEFORE), max_age="60"))

    def test_a_prompt_for_consent_asks_again(self) -> None:
        waits(begin(known(None, signed_in(), BEFORE), prompt="consent"), "/consent")
        waits(begin(known(an_app(first_party=True), signed_in(), BEFORE), prompt="consent"), "/consent")

    def test_our_own_clients_do_not_ask(self) -> None:
        issued(begin(known(an_app(first_party=True), signed_in())))

    @pytest.mark.parametrize("uri", ["http://127.0.0.1:1/cb", "com.example.app:/cb"])
    def test_what_any_program_of_the_machine_could_ask_is_always_asked(self, uri: str) -> None:
        """RFC 8252 §8.6."""
        client = a_public_app(redirect_uris=("http://127.0.0.1/cb", "com.example.app:/cb"))
        waits(begin(known(client, signed_in(), BEFORE), redirect_uri=uri), "/consent")
        with refused("consent_required") as caught:
            begin(known(client, signed_in(), BEFORE), redirect_uri=uri, prompt="none")
        assert caught.value.goes_to == Destination(uri, "query", "af0ifjsldkj")

    def test_without_a_prompt_the_client_hears_at_once(self) -> None:
        """T016."""
        for facts, error in ((known(), "login_required"), (known(None, signed_in()), "consent_required")):
            with refused(error, reason=error) as caught:
                begin(facts, prompt="none")
            assert caught.value.goes_to == TO
        issued(begin(known(None, signed_in(), BEFORE), prompt="none"))
        with refused("login_required"):
            begin(known(None, signed_in(), BEFORE), prompt="none", max_age="10")

    def test_from_another_site_the_browser_has_to_come_again(self) -> None:
        assert begin(known(), crossed=True) == Decision(ComeAgain())
        with refused("invalid_request", reason="redirect_uri_unregistered"):
            begin(known(), crossed=True, redirect_uri="https://evil.example/")

    def test_a_browser_gets_a_cookie_once_and_what_is_none_of_ours_is_none(self) -> None:
        decision = begin(known())
        assert decision.reply.cookie is None
        assert waits(decision, "/login").digest == interaction.digest(COOKIE)
        for had in (None, "", "short", "x" * 44, "=" * 43):
            fresh = begin(known(), replace(HERE, cookie=had))
            assert interaction.is_cookie(fresh.reply.cookie)
            assert waits(fresh, "/login").digest == interaction.digest(fresh.reply.cookie)
            assert fresh.reply.cookie not in repr(fresh)

    @pytest.mark.parametrize("full", [{"waiting": 100_000}, {"waiting_here": 1_000}])
    def test_they_do_not_pile_up(self, full: dict[str, int]) -> None:
        request = Request(parameters({**ASKED, "scope": "read"}.items()), HERE)
        with refused("slow_down", reason="authorizations_waiting"):
            interaction.begin(request, Facts(known(), **full), POLICY, a_moment())
        interaction.begin(request, Facts(known(None, signed_in(), BEFORE), **full), POLICY, a_moment())


class TestResume:
    def test_the_page_asks_what_the_client_asked(self) -> None:
        page = resume(known(None, signed_in())).reply
        assert isinstance(page, Question)
        assert [line.sentence for line in page.scopes] == ["Read your invoices"]
        assert (page.host, page.origin, page.user) == ("client.example", "https://client.example", "Ada")
        assert not page.is_on_loopback

    def test_it_says_what_is_new_since_last_time(self) -> None:
        row = a_waiting_request(an_authorization(scope=scope("read write openid")))
        page = resume(known(None, signed_in(), BEFORE), row).reply
        assert [(line.name, line.is_new, line.is_fixed) for line in page.scopes] == [
            ("read", False, False), ("write", True, False), ("openid", True, True)
        ]  # fmt: skip
        first = resume(known(None, signed_in()), row).reply
        assert not any(line.is_new for line in first.scopes)

    def test_it_warns_where_the_answer_goes_to_loopback(self) -> None:
        """Any program there chooses the address among those of the client, so its others say nothing."""
        facts = known(a_public_app(redirect_uris=("http://127.0.0.1/cb", CALLBACK)), signed_in())
        for uri, warns in (("http://127.0.0.1:1/cb", True), (CALLBACK, False)):
            row = a_waiting_request(an_authorization(redirect_uri=uri))
            assert resume(facts, row).reply.is_on_loopback is warns

    def test_who_signed_in_meanwhile_and_need_not_be_asked_goes_on(self) -> None:
        row = a_waiting_request()
        assert issued(resume(known(None, signed_in(), BEFORE), row)).request == row

    def test_who_did_not_has_to(self) -> None:
        assert resume(known()).reply == Page("/login", "authorization_1")

    def test_the_session_that_was_too_old_is_still_too_old(self) -> None:
        """T150: only a sign-in makes another."""
        row = a_waiting_request(session_id="session_1")
        for facts in (known(None, signed_in(), BEFORE), known(None, signed_in())):
            assert resume(facts, row).reply == Page("/login", "authorization_1")
            assert answer(facts, row).reply == Page("/login", "authorization_1")
        issued(resume(known(None, signed_in(id="session_2"), BEFORE), row))

    @pytest.mark.parametrize("cookie", [None, "", "d" * 43, COOKIE + "c", COOKIE[:-1]])
    def test_another_browser_has_nothing_of_it(self, cookie: str | None) -> None:
        """T036."""
        with refused("invalid_request", reason="authorization_over") as caught:
            resume(known(None, signed_in(), BEFORE), browser=replace(HERE, cookie=cookie))
        assert caught.value.goes_to is None

    @pytest.mark.parametrize("fields", [{"ended_at": NOW - 1}, {"expires_at": NOW}])
    def test_what_is_over_is_over(self, fields: dict[str, int]) -> None:
        for go_on in (resume, answer):
            with refused("invalid_request", reason="authorization_over"):
                go_on(known(None, signed_in()), a_waiting_request(**fields))

    def test_there_is_none_of_this_name(self) -> None:
        with refused("invalid_request", reason="authorization_over"):
            interaction.resume(Resumed("unknown", HERE), WaitingFacts(None, Known()), POLICY, a_moment())

    @pytest.mark.parametrize(
        "client",
        [an_app(state="disabled"), an_app(redirect_uris=("https://other.example/",)), an_app(a_grant(allowed="write"))],
    )
    def test_what_an_administrator_took_meanwhile_is_gone(self, client: ClientFacts) -> None:
        for go_on in (resume, answer):
            with refused("invalid_request", reason="authorization_over") as caught:
                go_on(known(client, signed_in(), BEFORE))
            assert caught.value.goes_to is None


class TestAnswer:
    def test_yes_is_a_code_for_what_was_asked(self) -> None:
        row = a_waiting_request()
        event = issued(answer(known(None, signed_in()), row))
        assert (event.grant.scope, event.code.scope, event.request) == (scope("read"), scope("read"), row)
        assert (event.grant.user_id, event.grant.session_id, event.grant.account_id) == ("user_1", "session_1", "acme")

    def test_no_is_an_answer_too(self) -> None:
        row = a_waiting_request()
        with refused("access_denied", reason="user_denied", events=(AuthorizationDenied(row, "user_1"),)) as caught:
            answer(known(None, signed_in()), row, allows=False)
        assert caught.value.goes_to == TO

    def test_he_may_allow_less(self) -> None:
        row = a_waiting_request(an_authorization(scope=scope("read write openid email")))
        event = issued(answer(known(None, signed_in()), row, scope=scope("read")))
        assert event.grant.scope == event.code.scope == scope("read openid")

    def test_and_never_more_than_was_asked(self) -> None:
        event = issued(answer(known(None, signed_in()), scope=scope("read write openid admin")))
        assert event.grant.scope == scope("read")

    def test_to_allow_nothing_is_to_say_no(self) -> None:
        for asked, chosen in (("read", ""), ("read offline_access", "offline_access")):
            row = a_waiting_request(an_authorization(scope=scope(asked)))
            with refused("access_denied", events=(AuthorizationDenied(row, "user_1"),)):
                answer(known(None, signed_in()), row, scope=scope(chosen))

    def test_he_chooses_among_his_own_accounts(self) -> None:
        facts = replace(known(None, signed_in()), accounts=(an_account(), an_account(id="other")))
        assert issued(answer(facts, account_id="other")).grant.account_id == "other"
        with refused("invalid_request"):
            answer(facts, account_id="somebody-elses")

    def test_who_belongs_to_no_account_acts_for_none(self) -> None:
        facts = replace(known(None, signed_in()), accounts=())
        assert issued(answer(facts)).grant.account_id is None

    def test_what_he_allowed_for_one_account_is_asked_anew_for_another(self) -> None:
        """He may have left the account, or not have belonged to any."""
        for before in ("left", None):
            waits(begin(known(None, signed_in(), replace(BEFORE, account_id=before))), "/consent")

    def test_last_times_account_is_the_first_that_is_offered(self) -> None:
        before: Grant = replace(BEFORE, account_id="other")
        facts = replace(known(None, signed_in(), before), accounts=(an_account(), an_account(id="other")))
        assert issued(resume(facts)).grant.account_id == "other"

    def test_who_signed_out_meanwhile_has_to_sign_in(self) -> None:
        assert answer(known()).reply == Page("/login", "authorization_1")

    def test_what_was_not_signed_in_for_an_api_is_for_the_issuer(self) -> None:
        app = an_app()
        bare = ClientFacts(app.client, app.account, app.secrets, ())
        row = a_waiting_request(an_authorization(scope=scope("openid"), api_id=None))
        assert issued(answer(known(bare, signed_in()), row, scope=scope(""))).grant.api_id is None


def test_sentences_are_the_api_owners() -> None:
    client = an_app(a_grant(an_api(scopes={"read": "See <b>everything</b>", "write": ""})))
    row = a_waiting_request(an_authorization(scope=scope("read write email")))
    lines = resume(known(client, signed_in()), row).reply.scopes
    assert [line.sentence for line in lines] == ["See <b>everything</b>", "write", "See your e-mail address"]


@pytest.mark.parametrize(
    ("says_all", "fields", "wanted"),
    [
        (True, {}, "read"),
        (True, {"scope": scope("read write openid")}, "openid read"),
        (False, {}, "read write"),
        (False, {}, ""),
        (False, {"api_id": "api_2"}, "read"),
        (False, {"account_id": "left"}, "read"),
        (False, {"account_id": None}, "read"),
    ],
)
def test_the_newest_grant_says_all_where_older_ones_can_add_nothing(
    says_all: bool, fields: dict[str, Any], wanted: str
) -> None:
    asked, newest = parameters([("scope", wanted)]), replace(BEFORE, **fields)
    assert interaction.says_all(newest, asked, an_app(), (an_account(),)) is says_all
    assert not interaction.says_all(newest, asked, an_app(a_grant(), a_grant(an_api(id="api_2"))), (an_account(),))


def test_who_has_no_account_is_asked_for_none() -> None:
    asked = parameters([("scope", "read")])
    assert interaction.says_all(replace(BEFORE, account_id=None), asked, an_app(), ())
    assert not interaction.says_all(BEFORE, asked, an_app(), ())
