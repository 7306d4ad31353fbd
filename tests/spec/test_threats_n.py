"""HTTP and the platform under attack: T180 to T190."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import warnings

import pytest
from tests.deployment import API, command, deployed, free_port

from doorward.app import RESOURCES, ROUTES
from doorward.protocol.admin import SCOPES
from doorward.web import key_limits, usage_reports

OAUTH = ("/oauth/token", "/oauth/introspect", "/oauth/revoke")
PUBLIC = ("/.well-known/oauth-authorization-server", "/.well-known/jwks.json")
FORM = {"content-type": "application/x-www-form-urlencoded"}


def address(doorward):
    host, _, port = doorward.issuer.removeprefix("https://").partition(":")
    return host, int(port)


class TestT180Tls:
    """By handshake, not by configuration (dex CVE-2024-23656)."""

    def connect(self, server, version, ciphers=None):
        context = ssl.create_default_context(cafile=server.directory / "ca.pem")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that old versions are old is the point
            context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        with (
            socket.create_connection(address(server), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            return tls.version(), tls.cipher()[0]

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    def test_old_versions_are_refused(self, server, version):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.connect(server, version, "ALL:@SECLEVEL=0")

    @pytest.mark.parametrize(
        "ciphers", ["ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256:AES256-SHA", "aNULL", "DHE"]
    )
    def test_ciphers_without_aead_or_forward_secrecy_are_refused(self, server, ciphers):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            self.connect(server, ssl.TLSVersion.TLSv1_2, f"{ciphers}:@SECLEVEL=0")

    def test_what_is_offered_is_aead_with_forward_secrecy(self, server):
        version, cipher = self.connect(server, ssl.TLSVersion.TLSv1_2)
        assert version == "TLSv1.2"
        assert cipher.startswith("ECDHE-")
        assert "GCM" in cipher or "CHACHA20" in cipher
        assert self.connect(server, ssl.TLSVersion.TLSv1_3)[0] == "TLSv1.3"

    def test_plain_http_on_the_tls_port_is_never_answered(self, server):
        with socket.create_connection(address(server), timeout=10) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in rest(plain)

    def test_a_foreign_authority_does_not_vouch_for_it(self, server, tmp_path):
        context = ssl.create_default_context()
        with (
            socket.create_connection(address(server), timeout=10) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="localhost")

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_plaintext_beyond_loopback_is_refused_at_start(self, tmp_path, host):
        refused = serve(tmp_path, "--no-tls", "--host", host, "--port", free_port())
        assert refused.returncode == 2
        assert [f"{number}. " in refused.stderr for number in (1, 2, 3)] == [True] * 3

    def test_hsts_is_sent_under_a_public_name(self, tmp_path, on_sqlite):
        with deployed(tmp_path, issuer="https://auth.example.com") as public:
            for path in ("/healthz", "/setup", "/v1/apis", "/nothing", *PUBLIC, *OAUTH):
                lifetime = public.http.get(path).headers["strict-transport-security"].removeprefix("max-age=")
                assert int(lifetime) >= 31_536_000
        assert "strict-transport-security" not in on_sqlite.http.get("/healthz").headers


def rest(sock):
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            found += piece
    return found


def serve(directory, *flags, **environment):
    """A start that is expected to be refused."""
    return subprocess.run(
        command("serve", "--data-dir", directory / "data", *flags),
        env=environment, cwd=directory, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


HOSTS = ["evil.example", "localhost:1", "127.0.0.1", "[::1]", "", "a" * 300, "evil.example\t", "x@evil.example", "ü"]


class TestT181TheIssuerComesFromTheSettings:
    @pytest.mark.parametrize("path", [*PUBLIC, "/setup", "/v1/openapi.json", "/v1/docs"])
    def test_no_host_changes_a_document(self, doorward, path):
        expected = doorward.http.get(path).content
        for host in HOSTS:
            reply = doorward.http.get(path, headers={"host": host.encode("latin-1")})
            assert reply.content == expected

    @pytest.mark.parametrize(
        "field", ["x-forwarded-host", "forwarded", "x-host", "x-original-url", "x-forwarded-prefix"]
    )
    def test_no_field_of_a_proxy_changes_one(self, doorward, field):
        for path in PUBLIC:
            expected = doorward.http.get(path).content
            for host in HOSTS:
                assert doorward.http.get(path, headers={field: host.encode("latin-1")}).content == expected

    def test_links_in_refusals_and_tokens_name_the_issuer(self, doorward):
        client = doorward.a_client()
        fields = {"host": "evil.example", "x-forwarded-host": "evil.example"}
        refused = doorward.http.get("/v1/apis", headers=fields)
        assert "evil.example" not in refused.text + str(refused.headers)
        assert refused.json()["type"].startswith(doorward.issuer + "/")
        reply = doorward.http.post(
            "/oauth/token",
            data={"grant_type": "client_credentials"},
            headers=fields,
            auth=(client["client_id"], client["client_secret"]),
        )
        assert doorward.introspect(client, reply.json()["access_token"])["iss"] == doorward.issuer

    def test_forwarding_fields_of_strangers_are_refused_by_the_server(self, server):
        for field in ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-for", "forwarded", "x-real-ip"):
            assert server.http.get("/healthz", headers={field: "https"}).status_code == 400


ORIGIN = {"origin": "https://evil.example"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}


class TestT182OtherOrigins:
    @pytest.mark.parametrize("path", ["/oauth/introspect", "/v1/apis", "/v1/keys/verify", "/setup", "/metrics"])
    def test_none_may_introspect_or_administer(self, doorward, path):
        for method in ("GET", "POST", "OPTIONS"):
            reply = doorward.http.request(method, path, headers=PREFLIGHT)
            assert not [name for name in reply.headers if name.startswith("access-control-")]
            assert method != "OPTIONS" or reply.status_code in (404, 405)

    @pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
    def test_any_may_get_and_revoke_tokens_without_cookies(self, doorward, path):
        preflight = doorward.http.options(path, headers=PREFLIGHT)
        assert (preflight.status_code, preflight.headers["access-control-allow-methods"]) == (204, "POST")
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        for reply in (preflight, doorward.http.post(path, headers=ORIGIN)):
            assert reply.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("path", PUBLIC)
    def test_any_may_read_what_is_public(self, doorward, path):
        assert doorward.http.get(path, headers=ORIGIN).headers["access-control-allow-origin"] == "*"

    def test_no_origin_is_reflected_and_no_credentials_are_allowed(self, doorward):
        for origin in ("https://evil.example", "null", "https://localhost", doorward.issuer):
            for path in (*OAUTH, *PUBLIC, "/v1/apis", "/setup"):
                for method in ("GET", "POST", "OPTIONS"):
                    reply = doorward.http.request(method, path, headers={**PREFLIGHT, "origin": origin})
                    assert reply.headers.get("access-control-allow-origin", "*") == "*"
                    assert "access-control-allow-credentials" not in reply.headers


class TestT183Caching:
    def test_nothing_with_a_secret_or_a_decision_is_stored(self, doorward):
        client = doorward.a_client()
        token = doorward.token(client)
        bearer = {"authorization": f"Bearer {doorward.admin_key}"}
        replies = [
            doorward.post("token", client, grant_type="client_credentials"),
            doorward.post("introspect", client, token=token),
            doorward.post("revoke", client, token=token),
            *(doorward.http.post(path) for path in OAUTH),
            *(doorward.http.get(path) for path in OAUTH),
            doorward.v1("GET", "/accounts"),
            doorward.v1("GET", "/nothing"),
            doorward.v1("DELETE", f"/clients/{client['client_id']}"),
            doorward.http.get("/v1/apis"),
            doorward.http.get("/setup"),
            doorward.http.post("/setup", json={"token": "x"}),
            doorward.http.get("/metrics", headers=bearer),
            doorward.http.get("/healthz"),
            doorward.http.get("/nothing"),
        ]
        assert {reply.headers["cache-control"] for reply in replies} == {"no-store"}

    def test_every_answer_forbids_guessing_its_type(self, doorward):
        for path in (
            "/setup",
            "/v1/docs",
            "/v1/openapi.json",
            "/static/setup.js",
            "/v1/apis",
            "/nothing",
            *OAUTH,
            *PUBLIC,
        ):
            assert doorward.http.get(path).headers["x-content-type-options"] == "nosniff", path


class TestT184Limits:
    KIB = 1024

    @pytest.mark.parametrize("path", OAUTH)
    def test_a_body_over_64_kib_is_413(self, doorward, path):
        reply = doorward.http.post(path, content=b"a=" + b"b" * 64 * self.KIB, headers=FORM)
        assert (reply.status_code, reply.json()["reason"]) == (413, "body_too_large")

    @pytest.mark.parametrize("path", ["/v1/accounts", "/v1/keys/verify"])
    def test_so_is_a_json_body(self, doorward, path):
        reply = doorward.v1("POST", path.removeprefix("/v1"), {"id": "a" * 64 * self.KIB})
        assert (reply.status_code, reply.json()["reason"]) == (413, "body_too_large")

    def test_a_body_without_a_length_is_counted(self, server):
        piece = b"a=" + b"b" * 8190
        with tls(server) as sock:
            sock.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n")
            sock.sendall(b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
            for _ in range(9):
                sock.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert status(sock) == 413

    @pytest.mark.parametrize("path", OAUTH)
    def test_more_than_64_fields_are_refused(self, doorward, path):
        for count, expected in ((64, {200, 401}), (65, {400})):
            body = "&".join(f"x{number}=1" for number in range(count))
            assert doorward.http.post(path, content=body, headers=FORM).status_code in expected
        empty = doorward.http.post(path, content="&" * 65, headers=FORM)
        assert empty.status_code == 400

    @pytest.mark.parametrize("path", OAUTH)
    def test_a_field_over_8_kib_is_refused(self, doorward, path):
        for body in ("x=" + "a" * 8193, "a" * 8193 + "=x", "x=" + "%61" * 2731):
            reply = doorward.http.post(path, content=body, headers=FORM)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
        assert doorward.http.post(path, content="x=" + "a" * 8192, headers=FORM).status_code == 401

    @pytest.mark.parametrize("path", OAUTH)
    @pytest.mark.parametrize(
        "media_type",
        [None, "", "application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form",
         "application/x-www-form-urlencoded; charset=utf-16", "application/x-www-form-urlencoded, text/plain",
         "application/x-www-form-urlencoded/x", "x/application/x-www-form-urlencoded"],
    )  # fmt: skip
    def test_only_a_form_is_taken(self, doorward, path, media_type):
        client = doorward.a_client()
        body = "grant_type=client_credentials&token=x"
        headers = {} if media_type is None else {"content-type": media_type}
        auth = (client["client_id"], client["client_secret"])
        reply = doorward.http.post(path, content=body, headers=headers, auth=auth)
        assert (reply.status_code, reply.json()["reason"]) == (415, "media_type_wrong")

    def test_two_content_types_are_none(self, doorward):
        fields = [("content-type", FORM["content-type"]), ("content-type", "text/plain")]
        assert doorward.http.post("/oauth/token", content="a=b", headers=fields).status_code in (400, 415)

    def test_a_multipart_body_is_never_parsed(self, doorward):
        client = doorward.a_client()
        reply = doorward.http.post(
            "/oauth/token",
            files={"grant_type": (None, "client_credentials")},
            auth=(client["client_id"], client["client_secret"]),
        )
        assert reply.status_code == 415

    @pytest.mark.parametrize(
        "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
    )
    def test_only_json_is_taken_by_the_admin_api(self, doorward, media_type):
        headers = {"authorization": f"Bearer {doorward.admin_key}"}
        headers |= {} if media_type is None else {"content-type": media_type}
        for path in ("/v1/accounts", "/v1/keys/verify"):
            reply = doorward.http.post(path, content='{"id": "a"}', headers=headers)
            assert (reply.status_code, reply.json()["reason"]) == (415, "media_type_wrong")
        page = doorward.http.post("/setup", content='{"token": "a"}', headers=headers)
        assert page.status_code == 415

    def test_an_encoded_body_is_not_unpacked(self, doorward):
        for encoding in ("gzip", "deflate", "br", "identity, gzip"):
            headers = {**FORM, "content-encoding": encoding}
            assert doorward.http.post("/oauth/token", content=b"\x1f\x8b", headers=headers).status_code == 415


@contextlib.contextmanager
def tls(server):
    context = ssl.create_default_context(cafile=server.directory / "ca.pem")
    with (
        socket.create_connection(address(server), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as sock,
    ):
        yield sock


def status(sock):
    return int(sock.recv(65536).split()[1])


def test_t185_slow_connections_keep_nobody_waiting(server):
    """Twenty half requests stay open; every whole one between them is answered."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(tls(server)) for _ in range(20)]
        for number, sock in enumerate(slow):
            half = b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n"
            body = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\na"
            sock.sendall(half if number % 2 else half + body)
        for _ in range(20):
            assert server.http.get("/healthz").status_code == 200
        for sock in slow:
            sock.sendall(b"X")
            assert server.v1("GET", "/accounts").status_code == 200


def test_t186_headers_over_16_kib_are_431(server):
    for fields in ({"x-long": "a" * 16_400}, {f"x-{number}": "a" * 100 for number in range(160)}):
        assert server.http.get("/healthz", headers=fields).status_code == 431
    assert server.http.get("/healthz", headers={"x-long": "a" * 15_000}).status_code == 200


class TestT187Nul:
    """A 500 on PostgreSQL elsewhere (DOT #1006)."""

    @pytest.mark.parametrize("path", OAUTH)
    @pytest.mark.parametrize("name", ["grant_type", "scope", "resource", "client_id", "client_secret", "token", "x"])
    def test_in_a_form_field(self, doorward, path, name):
        client = doorward.a_client()
        auth = (client["client_id"], client["client_secret"])
        for body in (f"{name}=a%00b", f"{name}=%00", f"{name}%00=a"):
            for credentials in (auth, None):
                reply = doorward.http.post(path, content=body, headers=FORM, auth=credentials)
                assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
        raw = doorward.http.post(path, content=f"{name}=a\x00b", headers=FORM, auth=auth)
        assert raw.status_code == 400

    def test_in_a_json_string(self, doorward):
        bodies = {
            "/accounts": [{"id": "\0"}, {"id": "a", "name": "\0"}, {"id": "a", "metadata": {"a": "\0"}}, {"\0": "a"}],
            "/apis": [{"identifier": "\0", "name": "a"}, {"identifier": API, "name": "\0"},
                      *({"identifier": API, "name": "a", "scopes": scopes} for scopes in ({"\0": "a"}, {"a": "\0"}))],
            "/keys": [{"account": "\0", "api": "a", "scope": ""}, {"account": "a", "api": "\0", "scope": ""}],
            "/clients": [{"account": "\0", "api": "a", "scope": "", "name": "a"}],
            "/verifiers": [{"api": "\0"}, {"api": "a", "name": "a\0"}],
            "/admin-keys": [{"name": "\0"}, {"name": "a", "scope": "\0"}, {"name": "a", "networks": ["\0"]}],
            "/revocations": [{kind: "\0"} for kind in ("token", "grant", "client", "account", "api_key")],
            "/keys/verify": [{"key": "\0"}, {"key": "a", "scope": "\0"}, {"key": "a", "api": "\0"}],
        }  # fmt: skip
        for path, some in bodies.items():
            for body in some:
                reply = doorward.v1("POST", path, body)
                assert (reply.status_code, reply.json()["reason"]) == (400, "request_malformed"), (path, body)

    def test_what_only_looks_like_it_is_text(self, doorward):
        account = doorward.an_account(name="\\u0000", metadata={"\\\\u0000": "\\"})
        assert doorward.v1("GET", f"/accounts/{account['id']}").json() == account
        assert account["name"] == "\\u0000"

    def test_in_a_path_or_query(self, doorward):
        paths = [f"{resource.path}/a%00b" for resource in RESOURCES]
        paths += [f"{resource.path}?{name}=a%00" for resource in RESOURCES for name in (*resource.filters, "cursor")]
        paths += ["/audit?entity=%00", "/audit?type=%00", "/audit?cursor=%00", "/requests/%00", "/apis?x=%00"]
        calls = [("GET", path) for path in paths]
        calls += [(route.method, route.path.replace("{id}", "%00")) for route in ROUTES if "{id}" in route.path]
        for method, path in calls:
            reply = doorward.v1(method, path, {} if method != "GET" else None)
            assert (reply.status_code, reply.json()["reason"]) == (400, "request_malformed"), path

    def test_in_an_idempotency_key_or_if_match(self, doorward):
        headers = {"authorization": f"Bearer {doorward.admin_key}"}
        for field in ("idempotency-key", "if-match"):
            reply = doorward.http.patch("/v1/accounts/none", json={}, headers={**headers, field: b"\x00"})
            assert reply.status_code in (400, 404)
            reply = doorward.http.post("/v1/accounts", json={"id": "Bad"}, headers={**headers, field: b"a\x00"})
            assert reply.status_code in (400, 422)


class TestT188Cursors:
    @pytest.fixture
    def account(self, doorward):
        account = doorward.an_account()["id"]
        api = doorward.an_api()["identifier"]
        for _ in range(3):
            doorward.a_key(account=account, api=api)
        return account

    @pytest.fixture
    def cursor(self, doorward, account):
        return doorward.v1("GET", f"/keys?account={account}&limit=1").json()["next_cursor"]

    def refused(self, doorward, query):
        reply = doorward.v1("GET", query)
        return (reply.status_code, reply.json().get("reason")) == (400, "cursor_invalid")

    def test_it_works_where_it_was_given(self, doorward, account, cursor):
        assert len(doorward.v1("GET", f"/keys?account={account}&limit=5&cursor={cursor}").json()["items"]) == 2

    def test_no_letter_of_it_can_be_changed(self, doorward, account, cursor):
        for place in range(len(cursor)):
            edited = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
            assert self.refused(doorward, f"/keys?account={account}&cursor={edited}"), place
        for other in (cursor[:-1], cursor + "A", cursor + "=", "", "A", "%2B", "'; DROP TABLE keys; --", "\u2028"):
            assert self.refused(doorward, f"/keys?account={account}&cursor={other}"), other

    def test_it_is_bound_to_its_list_and_filters(self, doorward, account, cursor):
        other = doorward.an_account()["id"]
        for query in (f"/keys?account={other}", "/keys?", f"/clients?account={account}", "/accounts?", "/audit?",
                      f"/keys?account={account}&api=x"):  # fmt: skip
            assert self.refused(doorward, f"{query}&cursor={cursor}"), query

    def test_the_audit_cursor_is_bound_to_order_and_filters(self, doorward, account):
        cursor = doorward.v1("GET", "/audit?limit=1").json()["next_cursor"]
        for query in ("/audit?order=desc", "/audit?type=ApiKeyCreated", f"/audit?entity={account}", "/keys?"):
            assert self.refused(doorward, f"{query}&cursor={cursor}"), query

    def test_a_place_without_a_signature_is_worth_nothing(self, doorward, account):
        for place in ([0, "' OR 1=1 --"], [0, "a"], {"a": 1}, "x", 0):
            made_up = base64.urlsafe_b64encode(b"x" * 16 + json.dumps(place).encode()).decode().rstrip("=")
            assert self.refused(doorward, f"/keys?account={account}&cursor={made_up}")

    def test_that_of_another_deployment_is_worth_nothing(self, on_sqlite, tmp_path):
        with deployed(tmp_path) as other:
            cursor = other.v1("GET", "/audit?limit=1").json()["next_cursor"]
            assert other.v1("GET", f"/audit?cursor={cursor}").status_code == 200
        assert self.refused(on_sqlite, f"/audit?cursor={cursor}")


def administered():
    """Every route of /v1 from the table, with the scope that it needs."""
    changes = [(route.method, route.path, route.scope) for route in ROUTES]
    lists = [("GET", resource.path, resource.scope) for resource in RESOURCES]
    looks = [("GET", resource.path + "/{id}", resource.scope) for resource in RESOURCES]
    others = [("GET", path, look.scope) for path, look in usage_reports.LOOKS.items()]
    others += [("GET", key_limits.PATH, "keys:read"), ("GET", "/audit", "audit:read")]
    others += [("GET", "/gateway-routes", "apis:read"), ("GET", "/gateway-routes/match", "apis:read")]
    return [*changes, *lists, *looks, *others, ("GET", "/requests/{id}", "requests:read")]


class TestT189EveryRouteByEveryScope:
    @pytest.fixture
    def keys(self, doorward):
        return {scope: doorward.an_admin_key(scope) for scope in sorted(SCOPES)}

    def test_only_the_needed_scope_opens_a_route(self, doorward, keys):
        for method, path, needed in administered():
            opened = set()
            for scope, key in keys.items():
                reply = doorward.v1(method, path.replace("{id}", "nobody"), {} if method != "GET" else None, key=key)
                if reply.status_code == 403:
                    assert f'scope="{needed}"' in reply.headers["www-authenticate"]
                else:
                    assert reply.status_code in (200, 404, 409, 422), (method, path, reply.text)
                    opened.add(scope)
            assert opened == {needed, "admin"}, (method, path)

    def test_metrics_have_a_scope_of_their_own(self, doorward, keys):
        opened = {
            scope
            for scope, key in keys.items()
            if doorward.http.get("/metrics", headers={"authorization": f"Bearer {key}"}).status_code == 200
        }
        assert opened == {"metrics:read", "admin"}

    def test_every_route_of_the_description_is_covered(self, doorward):
        described = doorward.http.get("/v1/openapi.json").json()["paths"]
        routes = {(method.upper(), path) for path, operations in described.items() for method in operations}
        assert routes == {(method, path) for method, path, _ in administered()}

    def test_nobody_gets_in_without_a_key(self, doorward):
        for method, path, _ in administered():
            reply = doorward.http.request(method, "/v1" + path.replace("{id}", "nobody"), json={})
            assert (reply.status_code, reply.json()["reason"]) == (401, "credential_missing"), (method, path)

    def test_what_does_not_exist_is_404_for_who_may_ask(self, doorward):
        for method, path, _ in administered():
            if "{id}" in path:
                body = {"role": "viewer"} if (method, path) == ("PATCH", "/memberships/{id}") else {}
                reply = doorward.v1(method, path.replace("{id}", "nobody"), body if method != "GET" else None)
                assert reply.status_code == 404, (method, path, reply.text)


class TestT190NoDefaultSecrets:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("MASTER_KEY", "changeme"),
            ("MASTER_KEY", base64.urlsafe_b64encode(b"0123456789abcdef0123456789abcdef").decode()),
            ("MASTER_KEY", base64.urlsafe_b64encode(bytes(32)).decode()),
            ("PEPPER", "secret"),
            ("PEPPER", json.dumps({"1": base64.urlsafe_b64encode(b"\xff" * 32).decode()})),
        ],
    )
    def test_an_example_is_refused_at_start(self, tmp_path, name, value):
        refused = serve(tmp_path, "--port", free_port(), **{f"DOORWARD__{name}": value})
        assert refused.returncode == 2
        assert "1. " in refused.stderr
        assert value not in refused.stderr
        assert not (tmp_path / "data" / "doorward.db").exists()

    def test_two_deployments_share_no_secret(self, on_sqlite, tmp_path):
        with deployed(tmp_path) as other:
            for name in ("master.key", "pepper", "ca.key", "ca.pem"):
                assert (on_sqlite.directory / name).read_bytes() != (other.directory / name).read_bytes()
            kids = [{key["kid"] for key in one.http.get(PUBLIC[1]).json()["keys"]} for one in (on_sqlite, other)]
            assert not kids[0] & kids[1]
            assert other.v1("GET", "/apis", key=on_sqlite.admin_key).status_code == 401
