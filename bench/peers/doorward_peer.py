"""Doorward's own rows, prepared as those of its peers are; a workload's first is what its peers are held against."""

from __future__ import annotations

import functools
from dataclasses import replace
from urllib.parse import urlencode

import doorward_server
from doorward_server import Doorward, asked_by_nginx
from load import Request

from peers import workloads
from peers.running import SCOPE, Contender
from peers.workloads import OURS


def contenders(doorward: Doorward) -> list[Contender]:
    """SQLite with synchronous=FULL: a token counts when its journal row is on disk."""
    return [
        *(Contender(OURS, workload, functools.partial(_issue, doorward, api))
          for workload, api in workloads.ISSUE.items()),
        *(Contender(f"{OURS}, {what}", workloads.INTROSPECT, functools.partial(_introspect, doorward, what))
          for what in workloads.ASKED_ABOUT),
        Contender(OURS, workloads.JWKS, functools.partial(_jwks, doorward)),
        *(Contender(f"{OURS}, {what}", workload, functools.partial(_for_gateway, doorward, api, what))
          for workload, api in workloads.FOR_GATEWAY.items() for what in ("a JWT", "an API key")
          if what == "a JWT" or api == "ES256"),
    ]  # fmt: skip


def _issue(doorward: Doorward, api: str) -> Request:
    body = urlencode({"grant_type": "client_credentials", "scope": SCOPE})
    return Request(
        OURS, doorward.child, f"{doorward.url}/oauth/token", '"token_type":"Bearer"', body=body,
        authorization=doorward.clients[api], fresh=True,
    )  # fmt: skip


def _introspect(doorward: Doorward, what: str) -> Request:
    api = "opaque" if what == "an opaque token" else "ES256"
    token = doorward.api_key if what == "an API key" else doorward.token(api)
    caller = doorward_server.basic(*doorward.verifiers[api])
    url, body = f"{doorward.url}/oauth/introspect", urlencode({"token": token})
    return Request(OURS, doorward.child, url, '"active":true', body=body, authorization=caller)


def _jwks(doorward: Doorward) -> Request:
    return Request(OURS, doorward.child, f"{doorward.url}/.well-known/jwks.json", '"kid"', method="GET")


def _for_gateway(doorward: Doorward, api: str, what: str) -> Request:
    """The same question for either api, whose routes begin with its name."""
    credential = doorward.api_key if what == "an API key" else doorward.token(api)
    question = asked_by_nginx(doorward, OURS, "GET", credential)
    headers = tuple((name, value.replace("/ES256/", f"/{api}/")) for name, value in question.headers)
    return replace(question, headers=headers)
