"""Threats of section M: what callers and gateways in between could make the check believe, each with its answer.

T177, the same through real gateways, is in tests/gateways.
"""

from __future__ import annotations

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
    bearer,
    envoy,
    forward,
    identity,
    nginx,
    reason,
    routes,
)

each_family = pytest.mark.parametrize("family", FAMILIES)
PREFIX = "/m"


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("gated"), check_secret=SECRET) as doorward:
        doorward.api = doorward.an_api(routes=routes("m"))
        doorward.key = doorward.a_key(api=doorward.api["identifier"])["key"]
        yield doorward


@pytest.fixture(scope="module")
def ungated(tmp_path_factory):
    """Nobody set anything up for gateways."""
    with deployed(tmp_path_factory.mktemp("ungated")) as doorward:
        yield doorward


def of_nginx(method="GET", target=PREFIX + CHECKED):
    return [("x-original-method", method), ("x-original-url", f"https://{HOST}{target}")]


def of_forward(method="GET", target=PREFIX + CHECKED):
    return [
        ("x-forwarded-method", method), ("x-forwarded-uri", target), ("x-forwarded-proto", "https"),
        ("x-forwarded-host", HOST),
    ]  # fmt: skip


class TestT170DenyByDefault:
    """authentik CVE-2026-25748: what is malformed was a 2xx without identity."""

    BROKEN = (
        [("authorization", "")], [("authorization", "Bearer")], [("authorization", "Bearer ")],
        [("authorization", "Bearer \x80\xff")], [("authorization", "Basic")], [("authorization", "Basic %%%")],
        [("authorization", "Negotiate x")], [("x-api-key", "")], [("cookie", "session=%00; =;;")],
        [("authorization", "Bearer " + "a" * 12_000)], [("authorization", "Bearer " + "." * 200)],
        [("authorization", "Bearer a.b.c"), ("cookie", "\xff")],
    )  # fmt: skip

    @each_family
    @pytest.mark.parametrize("headers", BROKEN, ids=range(len(BROKEN)))
    def test_what_is_malformed_is_a_no(self, gated, family, headers):
        raw = [(name, value.encode("latin-1")) for name, value in headers]
        assert reason(family(gated, "GET", PREFIX + CHECKED, raw))[0] == 401

    @each_family
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"), ("GET", "/nowhere"), ("GET", PREFIX), ("GET", PREFIX + "/invoices/7/lines"),
            ("GET", PREFIX + "/Invoices/7"), ("GET", "/check/nginx"), ("GET", "/v1/keys"), ("PROPFIND", PREFIX + OPEN),
            ("PUT", PREFIX + CHECKED), ("HEAD", PREFIX + CHECKED), ("DELETE", PREFIX + OPEN),
        ],
    )  # fmt: skip
    def test_what_no_route_names_does_not_pass_with_the_best_of_credentials(self, gated, family, method, path):
        assert reason(family(gated, method, path, bearer(gated.key)))[0] == 403

    @each_family
    def test_a_fault_of_ours_is_no_yes(self, gated, family, monkeypatch):
        from doorward.web import gateway_checks

        def fail(*_):
            raise RuntimeError("a fault")

        monkeypatch.setattr(gateway_checks.gateway_check, "identity", fail)
        reply = family(gated, "GET", PREFIX + CHECKED, bearer(gated.key))
        assert reply.status_code == 500
        assert not [name for name in reply.headers if name.startswith("x-auth-")]

    def test_a_database_that_does_not_answer_is_no_yes(self, gated, monkeypatch):
        from doorward.store.store import Store
        from doorward.store.writer import Unavailable

        async def silent(*_):
            raise Unavailable("it is gone")

        monkeypatch.setattr(Store, "gather", silent)
        reply = nginx(gated, "GET", PREFIX + CHECKED, bearer(gated.key))
        assert reason(reply) == (503, "store_unavailable")
        assert reply.headers["retry-after"] == "1"


class TestT171EveryFieldAlways:
    """Caddy CVE-2026-30851: a field that the answer had not was the client's own."""

    @each_family
    def test_every_yes_has_every_identity_field_once(self, gated, family):
        for path, headers in ((CHECKED, bearer(gated.key)), (OPEN, []), (OPEN, bearer("x"))):
            spoofed = [(f"x-auth-{name}", "root") for name in IDENTITY]
            found = identity(family(gated, "GET", PREFIX + path, [*spoofed, *headers]))
            assert "root" not in found.values()

    @each_family
    @pytest.mark.parametrize(
        "name",
        [
            "x_auth_subject", "x-auth_subject", "X_Auth-Assertion", "x_auth_anything", "x_forwarded_uri",
            "x_forwarded-proto", "x_original_url", "x-original_method", "x_real_ip", "x_api_key", "x_check_secret",
        ],
    )  # fmt: skip
    def test_a_twin_with_underscores_is_refused(self, gated, family, name):
        """oauth2-proxy CVE-2025-64484, Traefik GHSA-5m6w: some servers read it as the same name."""
        reply = family(gated, "GET", PREFIX + CHECKED, [*bearer(gated.key), (name, "root")])
        assert reason(reply)[1] == "gateway_headers"
        assert family(gated, "GET", PREFIX + CHECKED, [*bearer(gated.key), ("my_header", "x")]).status_code == 200


class TestT172WhichRequest:
    """oauth2-proxy CVE-2026-40575, Oathkeeper CVE-2026-33494 and -33495: which request it was, the caller said."""

    OTHERS = (
        ("x-original-uri", PREFIX + OPEN), ("x-rewrite-url", PREFIX + OPEN), ("x-forwarded-prefix", PREFIX + "/static"),
        ("x-http-method-override", "HEAD"), ("x-method-override", "HEAD"), ("x-http-method", "HEAD"),
        ("forwarded", "for=127.0.0.1;proto=https"), ("x-forwarded-path", PREFIX + OPEN),
        ("x-envoy-original-path", OPEN),
    )  # fmt: skip

    @each_family
    def test_no_other_field_says_which_request_it_is(self, gated, family):
        assert reason(family(gated, "GET", PREFIX + CHECKED, [*self.OTHERS])) == (401, "credential_missing")

    def test_a_family_reads_no_field_of_another(self, gated):
        public, mine = PREFIX + OPEN, PREFIX + CHECKED
        assert reason(ask(gated, "/check/nginx", [*of_nginx("GET", mine), *of_forward("GET", public)])) == (
            401, "credential_missing",
        )  # fmt: skip
        assert reason(ask(gated, "/check/forward", [*of_forward("GET", mine), *of_nginx("GET", public)])) == (
            401, "credential_missing",
        )  # fmt: skip
        envoys = [("host", HOST), *of_nginx("GET", public), *of_forward("GET", public)[:2]]
        assert reason(ask(gated, f"/check/envoy{mine}", envoys)) == (401, "credential_missing")

    @pytest.mark.parametrize(("path", "fields"), [("/check/nginx", of_nginx()), ("/check/forward", of_forward())])
    def test_a_field_that_is_missing_or_repeated_is_refused(self, gated, path, fields):
        assert ask(gated, path, [*fields, *bearer(gated.key)]).status_code == 200
        for name, value in fields:
            without = [field for field in fields if field[0] != name]
            for given in (without, [*fields, (name, value)], [*without, (name, "")]):
                assert reason(ask(gated, path, [*given, *bearer(gated.key)]))[0] in (400, 403), (name, given)

    @pytest.mark.parametrize(
        "url",
        [
            PREFIX + CHECKED, "//" + HOST + PREFIX, f"ftp://{HOST}{PREFIX}{OPEN}", f"https://{HOST}", f"https://{PREFIX}",
            f"https://user@{HOST}{PREFIX}{OPEN}", f"https://{HOST}:x{PREFIX}{OPEN}", f"https://a b{PREFIX}{OPEN}",
            f"HTTPS://{HOST}{PREFIX}{OPEN}", f"https://{HOST}/x?y https://{HOST}{PREFIX}{OPEN}",
        ],
    )  # fmt: skip
    def test_what_is_no_url_is_refused(self, gated, url):
        given = [("x-original-method", "GET"), ("x-original-url", url)]
        assert reason(ask(gated, "/check/nginx", given))[0] == 403

    @each_family
    @pytest.mark.parametrize(
        "target",
        [
            "/m/static/../invoices/7", "/m/static/./x", "/m//static/x", "//m/static/x", "/m/static/%2e%2e/invoices/7",
            "/m/static/..%2finvoices/7", "/m/static/%252e%252e/invoices/7", "/m/static/..;/invoices/7",
            "/m/static/x;/../y", "/m/static\\..\\invoices", "/m/static/%5c..%5cinvoices", "/m/static/x%00",
            "/m/static/%c0%ae%c0%ae/invoices", "/m/static/x%3f", "/m/static/%zz", "/m/invoices/7%2f..%2f..%2fstatic/x",
            "/m/invoices/7;.css", "/m/invoices/7%23/static",
        ],
    )  # fmt: skip
    def test_a_path_that_can_be_read_in_two_ways_is_refused_though_it_seems_public(self, gated, family, target):
        if family is envoy:
            # The client of this test takes plain dot segments out; test_check_listener sends them as they are.
            target = target.replace("/./", "/%2e/").replace("/../", "/.%2e/")
        reply = family(gated, "GET", target, bearer(gated.key))
        assert reason(reply) == (reply.status_code, "path_ambiguous")
        assert reply.status_code in (400, 403)

    @pytest.mark.parametrize("query", ["?/m/static/x", "?x=/m/static/../x", "?a;b", "?%2e%2e", "?q=..//..", "?"])
    def test_the_query_decides_nothing(self, gated, query):
        assert reason(forward(gated, "GET", PREFIX + CHECKED + query, [])) == (401, "credential_missing")
        assert forward(gated, "GET", PREFIX + CHECKED + query, bearer(gated.key)).status_code == 200

    def test_a_fragment_is_no_part_of_a_request(self, gated):
        for target in (f"{PREFIX}{CHECKED}#/static", f"{PREFIX}{OPEN}#x"):
            assert reason(forward(gated, "GET", target, bearer(gated.key))) == (400, "path_ambiguous")


class TestT172WhoAsks:
    """Oathkeeper and oauth2-proxy believed everybody: an address never authenticates (decision 15)."""

    @pytest.mark.parametrize("path", ["/check/nginx", "/check/forward", "/check/envoy/m/static/app.css"])
    def test_without_the_secret_nobody_is_answered(self, gated, path):
        fields = [*of_nginx("GET", PREFIX + OPEN), *of_forward("GET", PREFIX + OPEN), ("host", HOST)]
        assert reason(ask(gated, path, fields, secret=None)) == (403, "gateway_unauthenticated")
        for wrong in (SECRET[:-1], SECRET + "x", "", SECRET.upper()):
            assert reason(ask(gated, path, fields, secret=wrong)) == (403, "gateway_unauthenticated")
        twice = [("x-check-secret", SECRET), *fields]
        assert reason(ask(gated, path, twice)) == (403, "gateway_unauthenticated")

    @pytest.mark.parametrize("path", ["/check/nginx", "/check/forward", "/check/envoy/x", "/check", "/check/"])
    def test_where_nobody_set_one_nothing_is_there(self, ungated, path):
        reply = ask(ungated, path, [*of_nginx(), *of_forward(), ("host", HOST)])
        assert reply.status_code == 404
        assert not [name for name in IDENTITY if f"x-auth-{name}" in reply.headers]


class TestT173NoBypass:
    """oauth2-proxy CVE-2026-34457: the health check's User-Agent opened every door."""

    @each_family
    @pytest.mark.parametrize("agent", ["kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "curl/8"])
    def test_no_agent_and_no_well_known_path_passes_by_its_name(self, gated, family, agent):
        for path in ("/healthz", "/ping", "/robots.txt", "/favicon.ico", "/.well-known/x", PREFIX + CHECKED):
            assert reason(family(gated, "GET", path, [("user-agent", agent)]))[0] in (401, 403)


class TestT174HopByHop:
    """Fabio CVE-2025-48865, Traefik CVE-2024-45410: `Connection` took fields off between the check and the backend."""

    @each_family
    @pytest.mark.parametrize(
        "named",
        [
            "X-Auth-Subject", "close, x-auth-assertion", "X-Forwarded-Uri", "keep-alive,X-Original-URL",
            "authorization",
            "X-API-Key", "x-real-ip", " X-Auth-Anything ", "x-check-secret", "X-Forwarded-Anything",
        ],
    )  # fmt: skip
    def test_who_would_take_our_fields_off_is_refused(self, gated, family, named):
        reply = family(gated, "GET", PREFIX + CHECKED, [*bearer(gated.key), ("connection", named)])
        assert reason(reply)[1] == "gateway_headers"
        for usual in ("close", "keep-alive", "upgrade", "te, close"):
            assert (
                family(gated, "GET", PREFIX + CHECKED, [*bearer(gated.key), ("connection", usual)]).status_code == 200
            )


class TestT175NoExpressions:
    """oauth2-proxy CVE-2025-54576: an expression that skips the check matched more than was meant."""

    @pytest.mark.parametrize(
        "path", ["/static/.*", "^/static", "/(a|b)", "/[a-z]", "/a+?", "/*", "/a/*/b", "/**/b", "/a*"]
    )
    def test_a_pattern_is_no_expression(self, gated, path):
        body = {
            "identifier": "https://api.example.com/t175",
            "name": "t175",
            "routes": [{"path": path, "methods": ["GET"]}],
        }
        reply = gated.v1("POST", "/apis", body)
        # Of these, some are plain letters to us: then they match themselves.
        if reply.status_code == 201:
            assert reason(nginx(gated, "GET", "/static/x", []))[1] == "route_unknown"
            assert gated.v1("DELETE", f"/apis/{reply.json()['id']}").status_code == 204
        else:
            assert [one["field"] for one in reply.json()["errors"]] == ["routes.0.path"]


class TestT176HeaderValues:
    """What we tell is one line of plain ASCII, whatever was put into a name."""

    def test_nothing_that_we_know_of_a_caller_breaks_out_of_its_header(self):
        from doorward.web.gateway_checks import printable

        for value in ("a\r\nX-Auth-Subject: root", "a\x00b", "é", "\u202e", "\x1b[31m", "a\x7f"):
            told = printable(value)
            assert told.isascii()
            assert told.decode().isprintable()
        assert printable("invoices:read a/b") == b"invoices:read a/b"
        assert len(printable("x" * 100_000)) == 2048
        for width in range(2040, 2060):
            scope = "a" * width + " invoices:read invoices:readwrite"
            assert {*printable(scope).decode().split()} <= {*scope.split(), "a" * 2048}

    @each_family
    def test_line_breaks_in_what_the_gateway_tells_are_refused(self, gated, family):
        for target in ("/m/static/x%0d%0aX-Auth-Subject:%20root", "/m/static/x%0a", "/m/static/x%e2%80%a8"):
            assert reason(family(gated, "GET", target, []))[1] == "path_ambiguous"

    def test_a_method_or_host_that_is_none_is_refused(self, gated):
        for method in ("get", "GET ", "G\x00T", "", "GET,POST"):
            given = [("x-original-method", method.encode("latin-1")), of_nginx("GET", PREFIX + OPEN)[1]]
            assert reason(ask(gated, "/check/nginx", given))[1] == "gateway_headers"
        for host in ("", "a b", "a/b", "[::1", "-", "a,b"):
            given = [*of_forward("GET", PREFIX + OPEN)[:3], ("x-forwarded-host", host)]
            assert reason(ask(gated, "/check/forward", given))[1] == "gateway_headers"
