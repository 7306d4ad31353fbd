"""Configurations of gateways: their own check of a JWT, and the question to a checker about every request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# What Doorward is asked in every way: a request over TLS to the api whose routes begin with /ES256.
ASKED_URL = "https://api.example.com"
TYPES = "type.googleapis.com/envoy.extensions.filters"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"


def haproxy(port: int, alg: str, pem: Path, issuer: str, audience: str) -> str:
    """As its documentation has it: the algorithm is fixed, then signature, issuer, audience and times."""
    return f"""\
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend api
    bind 127.0.0.1:{port}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str {alg} }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{pem}") 1 }}
    http-request return status 200 content-type text/plain string "ok"
"""


def envoy_jwt(port: int, jwks: str, issuer: str, audience: str, cached: bool) -> str:
    provider: dict[str, Any] = {"issuer": issuer, "audiences": [audience], "local_jwks": {"inline_string": jwks}}
    if cached:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    checked = {
        "@type": f"{TYPES}.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"doorward": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "doorward"}}],
    }
    return _envoy(port, {"name": "envoy.filters.http.jwt_authn", "typed_config": checked}, [])


def envoy_asking(port: int, checker: int) -> str:
    """ext_authz over HTTP: the check's path is a prefix of the request's."""
    asked = {
        "@type": f"{TYPES}.http.ext_authz.v3.ExtAuthz",
        "http_service": {
            "server_uri": {"uri": f"http://127.0.0.1:{checker}", "cluster": "checker", "timeout": "5s"},
            "path_prefix": "/check/envoy",
            "authorization_request": {"headers_to_add": [{"key": "x-forwarded-proto", "value": "https"}]},
        },
    }
    address = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": checker}}}
    cluster = {
        "name": "checker", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "checker", "endpoints": [{"lb_endpoints": [{"endpoint": address}]}]},
    }  # fmt: skip
    return _envoy(port, {"name": "envoy.filters.http.ext_authz", "typed_config": asked}, [cluster])


def _envoy(port: int, first: dict[str, Any], clusters: list[dict[str, Any]]) -> str:
    router = {"@type": f"{TYPES}.http.router.v3.Router"}
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "ok"}}}
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "api",
        "route_config": {"virtual_hosts": [{"name": "api", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [first, {"name": "envoy.filters.http.router", "typed_config": router}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def nginx_js(port: int, place: Path) -> str:
    """njs verifies in a subrequest of auth_request, by the script that lies beside the configuration."""
    return _nginx(
        place, f"js_path {place}; js_import jwt from verify.js;\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 10000000;\n"
        "location / { auth_request /verify; empty_gif; }\n"
        "location = /verify { internal; js_content jwt.verify; } }", module=True,
    )  # fmt: skip


def nginx_asking(port: int, checker: int, place: Path) -> str:
    return _nginx(
        place, f"upstream checker {{ server 127.0.0.1:{checker}; keepalive 64; }}\n"
        f"server {{ listen 127.0.0.1:{port}; keepalive_requests 10000000;\n"
        "location / { auth_request /asked; empty_gif; }\n"
        "location = /asked { internal; proxy_pass http://checker/check/nginx;\n"
        'proxy_http_version 1.1; proxy_pass_request_body off;\n'
        'proxy_set_header Content-Length ""; proxy_set_header Connection "";\n'
        f"proxy_set_header X-Original-Method $request_method;\n"
        f"proxy_set_header X-Original-URL {ASKED_URL}$request_uri;\n"
        "proxy_set_header X-Real-IP $remote_addr; } }",
    )  # fmt: skip


def constant(port: int, place: Path) -> str:
    """A checker that allows everything, as fast as one can."""
    return _nginx(
        place, f"server {{ listen 127.0.0.1:{port}; keepalive_requests 10000000; location / {{ return 200; }} }}"
    )


def _nginx(place: Path, within: str, module: bool = False) -> str:
    loaded = f"load_module {MODULE};\n" if module else ""
    folders = "".join(f"{kind}_temp_path {place}/{kind}; " for kind in KINDS)
    return (
        f"{loaded}daemon off; worker_processes 1; error_log stderr crit; pid {place}/nginx.pid; events {{}}\n"
        f"http {{ access_log off; {folders}\n{within}\n}}\n"
    )


def caddy_asking(port: int, checker: int) -> str:
    return f"""\
{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
http://127.0.0.1:{port} {{
    forward_auth 127.0.0.1:{checker} {{
        uri /check/forward
        header_up X-Forwarded-Proto https
        header_up X-Forwarded-Host api.example.com
    }}
    respond "ok" 200
}}
"""
