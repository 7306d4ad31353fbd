"""/check/nginx, /check/forward and /check/envoy: one decision, told to each gateway as it needs to hear it."""

from __future__ import annotations

import itertools
import time

import pytest
from tests.deployment import deployed
from tests.spec.gateway_calls import (
    CHECKED,
    FAMILIES,
    HOST,
    IDENTITY,
    OPEN,
    SECRET,
    ask,
    asserted,
    bearer,
    envoy,
    forward,
    identity,
    nginx,
    reason,
    routes,
)
from tests.spec.test_key_import import a_text, imported, slow
from tests.spec.test_usage_reports import eventually

from doorward_verify import assertion

each_family = pytest.mark.parametrize("family", FAMILIES)
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def gated(tmp_path_factory, postgresql):
    """The routes of the settings stand before those of apis."""
    mine = {"path": "/settings/**", "methods": ["GET"], "api": "https://settings.example.com", "scope": "a"}
    flags = {"check_secret": SECRET, "gateway": {"routes": [mine]}, "database": postgresql.create()}
    with deployed(tmp_path_factory.mktemp("gated"), **flags) as doorward:
        yield doorward


@pytest.fixture(scope="module")
def api(gated):
    prefix = f"p{next(NUMBERS)}"
    one_way = [
        {"path": f"/{prefix}/{transport}", "methods": ["GET"], "transports": [transport]}
        for transport in ("basic", "bearer")
    ]
    made = gated.an_api(routes=[*routes(prefix), *one_way], transports=["bearer", "header", "basic"])
    return {**made, "prefix": f"/{prefix}"}


@pytest.fixture(scope="module")
def account(gated):
    return gated.an_account()["id"]


@pytest.fixture(scope="module")
def key(gated, api, account):
    return gated.a_key(api=api["identifier"], account=account)


@pytest.fixture(scope="module")
def client(gated, api, account):
    return gated.a_client(api=api["identifier"], account=account)


class TestWhoPasses:
    @each_family
    def test_a_key_passes_with_every_identity_field_and_an_empty_body(self, gated, api, key, account, family):
        reply = family(gated, "GET", api["prefix"] + CHECKED, bearer(key["key"]))
        assert (reply.status_code, reply.content) == (200, b"")
        found = identity(reply)
        assert found.pop("assertion")
        assert found == {
            "account": account, "scope": "invoices:read", "client": "", "subject": account, "credential": "api_key",
            "key-id": key["id"],
        }  # fmt: skip
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-envoy-auth-headers-to-remove"] == "authorization,x-api-key,x-check-secret"

    @each_family
    def test_a_token_passes_as_a_key_does(self, gated, api, client, account, family):
        token = gated.token(client, scope="invoices:read")
        found = identity(family(gated, "GET", api["prefix"] + CHECKED, bearer(token)))
        assert (found["credential"], found["client"], found["key-id"]) == ("jwt", client["client_id"], "")
        assert found["account"] == account

    def test_an_opaque_token_passes_too(self, gated, account):
        prefix = f"p{next(NUMBERS)}"
        api = gated.an_api(token_format="opaque", routes=routes(prefix))
        client = gated.a_client(api=api["identifier"], account=account)
        reply = nginx(gated, "GET", f"/{prefix}{CHECKED}", bearer(gated.token(client)))
        assert identity(reply)["credential"] == "opaque"
        assert asserted(gated, reply)["credential"] == "opaque"

    @pytest.mark.parametrize("transport", ["bearer", "header"])
    def test_a_key_that_was_made_elsewhere_passes_as_any_other(self, gated, account, transport):
        prefix, text = f"p{next(NUMBERS)}", a_text()
        api = gated.an_api(legacy=True, routes=routes(prefix))
        sent = bearer(text) if transport == "bearer" else [("x-api-key", text)]
        assert reason(nginx(gated, "GET", f"/{prefix}{CHECKED}", sent)) == (401, "credential_unknown")
        row = {"key": text, "account": account, "api": api["identifier"], "scope": "invoices:read"}
        (result,) = imported(gated, row)
        told = identity(nginx(gated, "GET", f"/{prefix}{CHECKED}", sent))
        assert (told["credential"], told["key-id"], told["account"]) == ("api_key", result["id"], account)
        assert gated.v1("POST", f"/keys/{result['id']}/revoke").is_success
        assert reason(nginx(gated, "GET", f"/{prefix}{CHECKED}", sent)) == (401, "credential_revoked")

    @each_family
    def test_a_key_that_is_known_by_a_slow_hash_passes_the_first_time_that_it_is_shown(self, gated, account, family):
        prefix, text = f"p{next(NUMBERS)}", a_text("abcd1234")
        api = gated.an_api(legacy=True, routes=routes(prefix))
        row = {"account": account, "api": api["identifier"], "scope": "invoices:read"}
        (result,) = imported(gated, {**row, "bcrypt": slow(text), "prefix": "abcd1234"}, entropy=128)
        wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
        assert reason(family(gated, "GET", f"/{prefix}{CHECKED}", bearer(wrong))) == (401, "credential_unknown")
        for _ in range(2):
            told = identity(family(gated, "GET", f"/{prefix}{CHECKED}", bearer(text)))
            assert (told["credential"], told["key-id"]) == ("api_key", result["id"])

    @each_family
    def test_a_public_route_passes_as_nobody_whatever_is_shown(self, gated, api, key, family):
        for headers in ([], bearer(key["key"]), bearer("nonsense"), [*bearer("a"), *bearer("b")]):
            reply = family(gated, "GET", api["prefix"] + OPEN, headers)
            assert (reply.status_code, reply.content) == (200, b"")
            assert identity(reply) == dict.fromkeys(IDENTITY, "")

    @each_family
    def test_a_websocket_is_asked_about_as_the_get_that_it_begins_as(self, gated, api, key, family):
        upgrade = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")]
        path = api["prefix"] + CHECKED
        assert family(gated, "GET", path, [*upgrade, *bearer(key["key"])]).status_code == 200
        assert reason(family(gated, "GET", path, upgrade)) == (401, "credential_missing")

    def test_conditional_and_partial_requests_get_whole_answers(self, gated, api, key):
        conditions = [
            ("if-none-match", "*"),
            ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("range", "bytes=0-0"),
        ]
        reply = nginx(gated, "GET", api["prefix"] + CHECKED, [*conditions, *bearer(key["key"])])
        assert (reply.status_code, reply.content) == (200, b"")

    def test_whatever_the_method_of_the_question_it_is_answered(self, gated, api, key):
        headers = [("x-original-method", "GET"), ("x-original-url", f"https://{HOST}{api['prefix']}{CHECKED}")]
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            assert ask(gated, "/check/nginx", [*headers, *bearer(key["key"])], method=method).status_code == 200


class TestWhoDoesNot:
    @each_family
    def test_without_a_credential_both_ways_in_are_named(self, gated, api, family):
        reply = family(gated, "GET", api["prefix"] + CHECKED, [])
        assert reason(reply) == (401, "credential_missing")
        realm = f'realm="{api["identifier"]}"'
        assert reply.headers.get_list("www-authenticate") == [
            f'Bearer {realm}, scope="invoices:read"', f'ApiKey {realm}, header="X-API-Key"',
        ]  # fmt: skip

    @each_family
    def test_who_proves_nothing_gets_one_answer(self, gated, api, key, family):
        for text in ("nonsense", key["key"][:-1], key["key"][:-7] + "0000000", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", ""):
            reply = family(gated, "GET", api["prefix"] + CHECKED, bearer(text))
            assert reason(reply) == (401, "credential_unknown"), text

    @each_family
    def test_a_scope_that_is_missing_is_named(self, gated, api, key, family):
        reply = family(gated, "POST", api["prefix"] + "/invoices", bearer(key["key"]))
        assert reason(reply) == (403, "insufficient_scope")
        (challenge,) = reply.headers.get_list("www-authenticate")
        assert 'error="insufficient_scope"' in challenge
        assert challenge.endswith('scope="invoices:write"')

    @each_family
    def test_what_opens_another_api_opens_nothing_here(self, gated, api, family):
        other = gated.a_key(account=gated.an_account()["id"])
        assert reason(family(gated, "GET", api["prefix"] + CHECKED, bearer(other["key"]))) == (401, "wrong_audience")

    @pytest.mark.parametrize("kind", ["admin_key", "client_secret", "refresh_token"])
    def test_secrets_of_other_kinds_are_no_credentials_here(self, gated, api, client, kind):
        from doorward_verify import api_key

        refresh = api_key.assemble("dw", "r", "live", "a" * 12, "b" * 32)
        text = {"admin_key": gated.admin_key, "client_secret": client["client_secret"], "refresh_token": refresh}[kind]
        assert reason(nginx(gated, "GET", api["prefix"] + CHECKED, bearer(text)))[0] == 401

    def test_a_revoked_key_a_suspended_account_and_a_revoked_token_are_refused_at_once(self, gated, api):
        path, account = api["prefix"] + CHECKED, gated.an_account()["id"]
        key = gated.a_key(api=api["identifier"], account=account)
        client = gated.a_client(api=api["identifier"], account=account)
        token, other = gated.token(client), gated.token(client)
        for text in (key["key"], token, other):
            assert nginx(gated, "GET", path, bearer(text)).status_code == 200
        assert gated.post("revoke", client, token=token).status_code == 200
        assert reason(nginx(gated, "GET", path, bearer(token))) == (401, "credential_revoked")
        gated.v1("POST", f"/keys/{key['id']}/revoke", {})
        assert reason(nginx(gated, "GET", path, bearer(key["key"]))) == (401, "credential_revoked")
        gated.v1("POST", f"/accounts/{account}/suspend", {})
        assert reason(nginx(gated, "GET", path, bearer(other))) == (401, "account_suspended")

    def test_refusing_what_exists_is_told_in_the_audit_log(self, gated, api):
        key = gated.a_key(api=api["identifier"])
        assert nginx(gated, "POST", api["prefix"] + "/invoices", bearer(key["key"])).status_code == 403
        told = gated.v1("GET", f"/audit?entity={key['id']}&type=CredentialRefused").json()["items"]
        assert [one["data"] for one in told] == [{"credential": "api_key", "reason": "insufficient_scope"}]

    def test_a_decoy_raises_its_alarm_at_the_gateway_too(self, gated, api):
        decoy = gated.a_key(api=api["identifier"], decoy=True)
        assert reason(nginx(gated, "GET", api["prefix"] + CHECKED, bearer(decoy["key"])))[0] == 401
        assert gated.v1("GET", "/audit?type=DecoyTried&order=desc").json()["items"][0]["entity_id"] == decoy["id"]

    def test_what_nginx_would_take_for_a_failure_is_a_403_that_says_what_it_was(self, gated, api, key):
        path, two = api["prefix"] + CHECKED, [*bearer(key["key"]), ("x-api-key", key["key"])]
        reply = nginx(gated, "GET", path, two)
        assert reason(reply) == (403, "several_credentials")
        assert (reply.headers["x-auth-status"], reply.headers["x-auth-problem"]) == ("400", "several_credentials")
        for family in (forward, envoy):
            assert reason(family(gated, "GET", path, two)) == (400, "several_credentials")


class TestTransports:
    def test_a_key_may_come_in_its_own_header(self, gated, api, key):
        assert nginx(gated, "GET", api["prefix"] + CHECKED, [("x-api-key", key["key"])]).status_code == 200

    def test_a_token_is_a_bearer_or_nothing(self, gated, api, client):
        reply = nginx(gated, "GET", api["prefix"] + CHECKED, [("x-api-key", gated.token(client))])
        assert reason(reply) == (401, "credential_unknown")

    def test_not_as_its_api_does_not_take_it_whatever_the_route_says(self, gated, account):
        prefix = f"p{next(NUMBERS)}"
        made = gated.an_api(routes=routes(prefix), transports=["header"])
        own = gated.a_key(api=made["identifier"], account=account)["key"]
        assert nginx(gated, "GET", f"/{prefix}{CHECKED}", [("x-api-key", own)]).status_code == 200
        assert reason(nginx(gated, "GET", f"/{prefix}{CHECKED}", bearer(own))) == (403, "transport_not_allowed")

    def test_how_a_key_should_come_is_told_to_those_who_have_one(self, gated, api, key):
        """What is no credential of anybody's gets the one answer that there is for that."""
        wrong = key["key"][:-7] + "0" * 7
        assert reason(nginx(gated, "GET", api["prefix"] + "/basic", bearer(wrong))) == (401, "credential_unknown")

    def test_by_basic_it_is_the_user_name_or_the_password_where_the_route_says_so(self, gated, api, key):
        import base64

        for pair in (f"{key['key']}:", f"{key['key']}:x", f"user:{key['key']}", f":{key['key']}"):
            basic = [("authorization", "Basic " + base64.b64encode(pair.encode()).decode())]
            assert nginx(gated, "GET", api["prefix"] + "/basic", basic).status_code == 200
            assert reason(nginx(gated, "GET", api["prefix"] + "/bearer", basic)) == (403, "transport_not_allowed")
            follows = nginx(gated, "GET", api["prefix"] + CHECKED, basic)
            assert follows.status_code == 200, "a route that says nothing of it takes what its api takes"
        assert reason(nginx(gated, "GET", api["prefix"] + "/basic", bearer(key["key"]))) == (
            403,
            "transport_not_allowed",
        )
        assert reason(nginx(gated, "GET", api["prefix"] + "/basic", [("authorization", "Basic !")])) == (
            401,
            "credential_unknown",
        )

    @pytest.mark.parametrize("name", ["api_key", "access_token"])
    def test_what_came_in_the_url_is_refused_by_name(self, gated, api, key, name):
        for target in (f"{CHECKED}?{name}={key['key']}", f"{CHECKED}?a=b&{name}=x"):
            reply = forward(gated, "GET", api["prefix"] + target, [])
            assert reason(reply) == (400, "secret_in_query")
            assert key["key"] not in reply.text
        both = forward(gated, "GET", f"{api['prefix']}{CHECKED}?{name}=x", bearer(key["key"]))
        assert reason(both) == (400, "several_credentials")


class TestWhereFrom:
    @each_family
    def test_a_bound_key_is_good_from_its_networks_alone(self, gated, api, family):
        key = gated.a_key(api=api["identifier"], networks=["192.0.2.0/24"])
        path = api["prefix"] + CHECKED
        assert family(gated, "GET", path, bearer(key["key"]), address="192.0.2.9").status_code == 200
        for address in ("192.0.3.9", "", "nonsense"):
            refused = family(gated, "GET", path, bearer(key["key"]), address=address)
            assert reason(refused) == (401, "network_not_allowed"), address

    @each_family
    def test_over_plain_http_nothing_passes_but_on_this_machine_and_in_public(self, gated, api, key, family):
        path = api["prefix"] + CHECKED
        refused = family(gated, "GET", path, bearer(key["key"]), address="192.0.2.9", scheme="http")
        assert reason(refused)[1] == "plaintext"
        local = family(gated, "GET", path, bearer(key["key"]), address="127.0.0.1", scheme="http")
        assert local.status_code == 200
        assert family(gated, "GET", api["prefix"] + OPEN, [], address="192.0.2.9", scheme="http").status_code == 200

    def test_a_key_of_another_environment_is_refused_on_either_side(self, gated, api, key):
        test = gated.a_key(api=api["identifier"], environment="test")
        for path, good, bad in ((CHECKED, key, test), ("/tests", test, key)):
            assert nginx(gated, "GET", api["prefix"] + path, bearer(good["key"])).status_code == 200
            refused = nginx(gated, "GET", api["prefix"] + path, bearer(bad["key"]))
            assert reason(refused) == (401, "wrong_environment")


class TestPreflight:
    ASKS = (("origin", "https://app.example.com"), ("access-control-request-method", "POST"))

    @each_family
    def test_a_browser_may_ask_first_where_the_route_of_its_method_says_so(self, gated, api, family):
        reply = family(gated, "OPTIONS", api["prefix"] + "/invoices", [*self.ASKS])
        assert reply.status_code == 200
        assert identity(reply) == dict.fromkeys(IDENTITY, "")

    @each_family
    def test_nothing_else_passes_by_the_name_of_a_preflight(self, gated, api, family):
        collection, one = api["prefix"] + "/invoices", api["prefix"] + CHECKED
        other = [self.ASKS[0], ("access-control-request-method", "DELETE")]
        for method, path, headers in (
            ("OPTIONS", collection, []), ("OPTIONS", collection, self.ASKS[:1]), ("OPTIONS", collection, self.ASKS[1:]),
            ("OPTIONS", collection, other), ("OPTIONS", one, self.ASKS),
        ):  # fmt: skip
            assert reason(family(gated, method, path, [*headers])) == (403, "route_method")
        assert reason(family(gated, "POST", collection, [*self.ASKS])) == (401, "credential_missing")


class TestAssertions:
    def test_it_is_for_one_service_method_and_uri_and_for_ten_seconds(self, gated, api, key, account):
        path = f"{api['prefix']}/invoices/7?page=2"
        claims = asserted(gated, nginx(gated, "POST", path, bearer(key["key"])))
        assert (claims["iss"], claims["aud"], claims["api"]) == (gated.issuer, "billing", api["identifier"])
        assert (claims["htm"], claims["uri"]) == ("POST", assertion.uri(path))
        assert (claims["account"], claims["key_id"], claims["credential"]) == (account, key["id"], "api_key")
        assert claims["exp"] - claims["iat"] == 10
        assert abs(claims["iat"] - time.time()) < 60

    def test_of_a_token_it_names_what_the_token_hangs_on_and_never_the_token(self, gated, api, client):
        token = gated.token(client, scope="invoices:read")
        reply = nginx(gated, "GET", api["prefix"] + CHECKED, bearer(token))
        claims = asserted(gated, reply)
        assert {"token", "grant_id", "client_id", "pos"} <= claims.keys()
        assert (claims["credential"], claims["aud"]) == ("jwt", "billing")
        assert token.split(".")[1] not in str(reply.headers)

    def test_without_a_service_of_its_own_a_route_is_for_its_api(self, gated, api, account):
        key = gated.a_key(api=api["identifier"], account=account, scope="invoices:write")
        claims = asserted(gated, nginx(gated, "POST", api["prefix"] + "/invoices", bearer(key["key"])))
        assert claims["aud"] == api["identifier"]

    def test_what_changes_something_gets_another_one_each_time(self, gated, api, key):
        replies = [nginx(gated, "POST", api["prefix"] + CHECKED, bearer(key["key"])) for _ in range(5)]
        assert len({asserted(gated, reply)["jti"] for reply in replies}) == 5

    def test_what_changes_nothing_may_share_one_and_never_across_requests_or_credentials(
        self, gated, api, key, account
    ):
        other = gated.a_key(api=api["identifier"], account=account)
        asked = [
            (f"{api['prefix']}/invoices/{number}{query}", text)
            for number in (7, 8) for query in ("", "?a=1") for text in (key["key"], other["key"])
        ]  # fmt: skip
        found = [identity(nginx(gated, "GET", path, bearer(text)))["assertion"] for path, text in asked * 2]
        assert len(set(found)) >= len(asked)
        for (path, _), text in zip(asked * 2, found, strict=True):
            from doorward_verify import jwt

            assert jwt.parse(text).claims["uri"] == assertion.uri(path)

    def test_it_tells_what_holds_now_and_not_what_held_when_one_was_kept(self, gated, api):
        key, path = gated.a_key(api=api["identifier"]), api["prefix"] + CHECKED
        before = asserted(gated, nginx(gated, "GET", path, bearer(key["key"])))
        gated.v1("PATCH", f"/keys/{key['id']}", {"scope": "invoices:read invoices:write"})
        after = asserted(gated, nginx(gated, "GET", path, bearer(key["key"])))
        assert (before["scope"], after["scope"]) == ("invoices:read", "invoices:read invoices:write")

    def test_it_is_no_credential_anywhere(self, gated, api, key):
        text = identity(nginx(gated, "GET", api["prefix"] + CHECKED, bearer(key["key"])))["assertion"]
        assert reason(nginx(gated, "GET", api["prefix"] + CHECKED, bearer(text)))[0] == 401
        assert not gated.introspect(gated.a_verifier(api=api["identifier"]), text)["active"]
        assert gated.http.get("/oauth/userinfo", headers=bearer(text)).status_code == 401
        assert gated.v1("GET", "/apis", key=text).status_code == 401


BURST = {"name": "burst", "amount": 5, "per": "day"}
MONTHLY = {"name": "monthly", "amount": 3, "per": "month", "type": "quota"}


class TestLimits:
    @each_family
    @pytest.mark.parametrize(
        ("limit", "reason_"), [(BURST, "rate_limited"), (MONTHLY, "quota_exceeded")], ids=["rate", "quota"]
    )
    def test_a_key_that_was_used_too_often_may_not_pass_until_it_may_again(self, gated, api, family, limit, reason_):
        key = gated.a_key(api=api["identifier"], limits=[limit])
        replies = [
            family(gated, "GET", api["prefix"] + CHECKED, bearer(key["key"])) for _ in range(limit["amount"] + 2)
        ]
        *passed, first, second = replies
        assert [reply.status_code for reply in passed] == [200] * limit["amount"]
        assert [f";r={limit['amount'] - 1 - n};" in reply.headers["ratelimit"] for n, reply in enumerate(passed)] == [
            True
        ] * limit["amount"]
        for reply in (first, second):
            assert reply.status_code == (403 if family is nginx else 429)
            assert (reply.headers["x-auth-status"], reply.headers["x-auth-problem"]) == ("429", reason_)
            assert int(reply.headers["retry-after"]) > 0
            assert ";r=0;" in reply.headers["ratelimit"]
            assert f";q={limit['amount']};" in reply.headers["ratelimit-policy"]
            assert reply.json()["error"] == "slow_down"

    def test_what_is_refused_or_public_costs_nothing(self, gated, api):
        key = gated.a_key(api=api["identifier"], limits=[MONTHLY])
        for path in ("/invoices", "/nowhere", OPEN):
            for _ in range(4):
                nginx(gated, "POST", api["prefix"] + path, bearer(key["key"]))
                nginx(gated, "GET", api["prefix"] + OPEN, bearer(key["key"]))
        reply = nginx(gated, "POST", api["prefix"] + CHECKED, bearer(key["key"]))
        assert (reply.status_code, ";r=2;" in reply.headers["ratelimit"]) == (200, True)

    def test_of_many_who_ask_at_once_a_quota_lets_so_many_pass(self, gated, api):
        key = gated.a_key(api=api["identifier"], limits=[MONTHLY])
        path = api["prefix"] + CHECKED
        found = gated.at_once(12, lambda _: forward(gated, "GET", path, bearer(key["key"])).status_code)
        assert sorted(found) == [200] * 3 + [429] * 9


class TestLimitsOfRoutes:
    """They hold for tokens as for keys, and apart from what a key has of its own."""

    @pytest.fixture
    def opened(self, gated, account):
        """Makes an api with one route; answers what asks it, with a credential."""

        def made(limits, path="/exports", **members):
            route = f"/p{next(NUMBERS)}{path}"
            api = gated.an_api(routes=[{"path": route, "methods": ["GET"], "limits": limits, **members}])
            return api["identifier"], lambda *shown, family=nginx, **more: family(gated, "GET", route, *shown, **more)

        return made

    def statuses(self, ask, shown, times=4, **more):
        replies = [ask(shown, **more) for _ in range(times)]
        return [int(reply.headers["x-auth-status"]) for reply in replies]

    @pytest.mark.parametrize("each", ["credential", "account", "route"])
    def test_who_has_it_is_counted_and_nobody_else(self, gated, account, opened, each):
        api, ask = opened([{**MONTHLY, "each": each}])
        same = [gated.a_key(api=api, account=account)["key"] for _ in range(2)]
        other = gated.a_key(api=api, account=gated.an_account()["id"])["key"]
        assert self.statuses(ask, bearer(same[0])) == [200, 200, 200, 429]
        assert ask(bearer(same[1])).status_code == (200 if each == "credential" else 403)
        assert ask(bearer(other)).status_code == (403 if each == "route" else 200)

    @each_family
    def test_all_are_told_with_those_of_the_key(self, gated, account, opened, family):
        api, ask = opened([MONTHLY])
        key = gated.a_key(api=api, account=account, limits=[BURST])["key"]
        reply = ask(bearer(key), family=family)
        assert reply.status_code == 200
        policies = [one.partition(";")[0] for one in reply.headers["ratelimit-policy"].split(", ")]
        assert policies == ['"burst"', '"monthly"']
        for _ in range(2):
            ask(bearer(key), family=family)
        reply = ask(bearer(key), family=family)
        assert (reply.headers["x-auth-status"], reply.headers["x-auth-problem"]) == ("429", "quota_exceeded")
        assert int(reply.headers["retry-after"]) > 0
        assert '"burst";r=2;' in reply.headers["ratelimit"], "what was refused cost the key nothing"

    @pytest.mark.parametrize("token_format", ["jwt", "opaque"])
    def test_a_client_is_counted_however_many_tokens_it_has(self, gated, account, token_format):
        path = f"/p{next(NUMBERS)}/exports"
        route = {"path": path, "methods": ["GET", "POST"], "limits": [MONTHLY]}
        api = gated.an_api(routes=[route], token_format=token_format)
        clients = [gated.a_client(api=api["identifier"], account=account) for _ in range(2)]
        tokens = [gated.token(clients[0]) for _ in range(4)]
        found = [forward(gated, "POST", path, bearer(token)).status_code for token in tokens]
        assert found == [200, 200, 200, 429]
        assert forward(gated, "POST", path, bearer(gated.token(clients[1]))).status_code == 200

    @each_family
    def test_a_public_route_counts_addresses_without_a_credential(self, opened, family):
        _, ask = opened([{**BURST, "amount": 2, "each": "address"}], public=True)
        assert self.statuses(ask, [], 3, family=family, address="192.0.2.1") == [200, 200, 429]
        assert self.statuses(ask, [], 1, family=family, address="192.0.2.2") == [200]
        reply = ask([], family=family, address="192.0.2.2")
        assert identity(reply) == dict.fromkeys(IDENTITY, "")
        assert ";r=0;" in reply.headers["ratelimit"]

    def test_what_is_refused_takes_nothing(self, gated, account, opened):
        api, ask = opened([{**MONTHLY, "each": "route"}], scope="invoices:read")
        bad = gated.a_key(api=api, account=account, scope="invoices:write")["key"]
        for shown in ([], bearer("nonsense"), bearer(bad)):
            assert ask(shown).status_code in (401, 403)
        assert ";r=2;" in ask(bearer(gated.a_key(api=api, account=account)["key"])).headers["ratelimit"]

    def test_a_cost_is_taken_of_the_keys_own_limits(self, gated, account, opened):
        api, ask = opened([], cost=2)
        key = gated.a_key(api=api, account=account, limits=[BURST])["key"]
        assert self.statuses(ask, bearer(key), 3) == [200, 200, 429]

    @each_family
    def test_what_a_key_can_never_pay_is_no_matter_of_waiting(self, gated, account, opened, family):
        api, ask = opened([], cost=6)
        key = gated.a_key(api=api, account=account, limits=[BURST])["key"]
        reply = ask(bearer(key), family=family)
        assert reply.status_code == (403 if family is nginx else 422)
        assert (reply.headers["x-auth-status"], reply.headers["x-auth-problem"]) == ("422", "cost_impossible")
        assert "retry-after" not in reply.headers


class TestUsage:
    def test_each_question_counts_however_it_ended_and_whether_or_not_it_was_answered_from_memory(self, gated, api):
        key = gated.a_key(api=api["identifier"], limits=[MONTHLY])
        for method, path in [("GET", CHECKED)] * 5 + [("POST", CHECKED)]:
            nginx(gated, method, api["prefix"] + path, bearer(key["key"]), "192.0.2.1")
        gated.an_api(routes=routes(prefix := f"p{next(NUMBERS)}"))
        assert reason(nginx(gated, "GET", f"/{prefix}{CHECKED}", bearer(key["key"]))) == (401, "wrong_audience")
        nginx(gated, "GET", api["prefix"] + OPEN, bearer(key["key"]))
        counts = {"active": 3, "quota_exceeded": 3, "wrong_audience": 1}
        eventually(gated, f"/keys/{key['id']}/usage", lambda usage: usage["counts"] == counts)
        shown = gated.v1("GET", f"/keys/{key['id']}").json()
        assert (shown["uses"], shown["last_address"]) == (3, "192.0.2.1")

    def test_what_last_used_a_key_is_what_the_caller_calls_himself(self, gated, api):
        key = gated.a_key(api=api["identifier"])
        for family, agent in zip(FAMILIES, ("first/1", "second/2", "third/3"), strict=True):
            for _ in range(2):
                family(gated, "GET", api["prefix"] + CHECKED, [*bearer(key["key"]), ("user-agent", agent)])
            eventually(gated, f"/keys/{key['id']}", lambda shown, agent=agent: shown["last_user_agent"] == agent)

    def test_a_token_counts_as_a_use_of_its_grant(self, gated, api, account):
        client = gated.a_client(api=api["identifier"], account=account)
        token = gated.token(client, scope="invoices:read")
        for family in FAMILIES:
            family(gated, "GET", api["prefix"] + CHECKED, bearer(token))
        eventually(gated, f"/clients/{client['client_id']}", lambda shown: shown["apis"][0]["uses"] == len(FAMILIES))


class TestSettings:
    def test_a_pattern_of_the_settings_decides_whatever_an_api_says(self, gated):
        open_ = [{"path": "/settings/open", "methods": ["GET", "POST"], "public": True}]
        gated.an_api(routes=open_)
        assert reason(nginx(gated, "GET", "/settings/open", [])) == (401, "credential_missing")
        assert reason(nginx(gated, "POST", "/settings/open", [])) == (403, "route_method")
