"""Clients of others, unmodified, against a running server over HTTPS: each row of CLIENTS by each row of KINDS.

The programs say what their libraries made of the server's answers; the user's part is played over HTTP.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.browsing import CALLBACK, Browser, Page, a_user, consent_page, signed_in
from tests.deployment import Doorward, Json, served
from tests.javascript import PROGRAMS
from tests.openid import walk

HERE = Path(__file__).parent
BYE = "https://client.example/bye"
SCOPE = "openid profile email invoices:read"
CLIENTS = {
    "Authlib": "authlib_client.py",
    "requests-oauthlib": "requests_oauthlib_client.py",
    "openid-client": "openid-client.js",
    "oauth4webapi": "oauth4webapi.js",
}
BASIC, FORM, PUBLIC = (
    {"token_endpoint_auth_method": name} for name in ("client_secret_basic", "client_secret_post", "none")
)
KINDS: dict[str, tuple[Json, Json]] = {
    #              the client's                                       its api's
    "by Basic":    (BASIC,                                            {"token_format": "jwt"}),
    "by the form": ({**FORM, "id_token_signed_response_alg": "ES256"}, {"token_format": "opaque"}),
    "public":      (PUBLIC,                                           {"signing_algorithm": "RS256"}),
}  # fmt: skip

pytestmark = pytest.mark.slow


class Refused(Exception):  # noqa: N818
    """What the library made of the server's no, in the server's word."""


@dataclass
class Program:
    """The client's process, which takes one step at a time."""

    process: subprocess.Popen[str]

    def __call__(self, step: str, **given: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"step": step, "with": given}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client has died"
        outcome = json.loads(line)
        if "refused" in outcome:
            raise Refused(outcome["refused"], outcome["said"])
        return outcome["done"]


def environment(doorward: Doorward) -> dict[str, str]:
    """Each trusts the server's own CA alone, by the variable that its language has for it."""
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    trusted = str(doorward.directory / "ca.pem")
    return {**inherited, "REQUESTS_CA_BUNDLE": trusted, "NODE_EXTRA_CA_CERTS": trusted, "PYTHONPATH": str(HERE)}


@contextmanager
def running(words: list[str], doorward: Doorward) -> Iterator[Program]:
    """It ends when its input does, also when the test run is killed."""
    pipes: Json = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment(doorward), **pipes) as process:
        yield Program(process)


@dataclass
class World:
    """A server with one user, and a client of each kind with a verifier that sees what its tokens are worth."""

    doorward: Doorward
    user: Json
    browser: Browser
    kinds: Mapping[str, tuple[Json, Json]] = field(repr=False)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with served(tmp_path_factory.mktemp("outside")) as doorward:
        user = a_user(doorward, name="Ada Lovelace", email="ada@example.com", email_verified=True)
        kinds = {kind: made(doorward, kind) for kind in KINDS}
        yield World(doorward, user, signed_in(doorward, user), kinds)


def made(doorward: Doorward, kind: str) -> tuple[Json, Json]:
    of_client, of_api = KINDS[kind]
    api = doorward.an_api(**of_api)["identifier"]
    client = doorward.a_client(
        api=api, name=kind, grant_types=["authorization_code", "refresh_token"], redirect_uris=[CALLBACK],
        post_logout_redirect_uris=[BYE], **of_client,
    )  # fmt: skip
    return client, doorward.a_verifier(api=api)


@pytest.fixture(scope="module", params=CLIENTS)
def program(request: pytest.FixtureRequest, world: World) -> Iterator[Program]:
    name = CLIENTS[request.param]
    if name.endswith(".js"):
        words = [*request.getfixturevalue("javascript"), str(PROGRAMS / name)]
    else:
        words = [sys.executable, str(HERE / name)]
    with running(words, world.doorward) as program:
        yield program


@dataclass
class Flow:
    """One client of the library, and whoever is asked by it."""

    program: Program
    world: World
    client: Json = field(repr=False)
    verifier: Json = field(repr=False)
    browser: Browser

    @property
    def is_public(self) -> bool:
        return self.client["token_endpoint_auth_method"] == "none"

    def connect(self) -> Json:
        """Through sign-in and consent, wherever they are asked for, to tokens."""
        address = self.program("begin")
        told = walk(self.browser, self.browser.get(address), self.world.user).told
        tokens = self.program("arrive", address=f"{CALLBACK}?{urlencode(told)}")
        return dict(tokens)

    def is_good(self, access_token: str) -> bool:
        """As the api would hear."""
        return bool(self.world.doorward.introspect(self.verifier, access_token)["active"])


@pytest.fixture
def flow(request: pytest.FixtureRequest, program: Program, world: World) -> Flow:
    client, verifier = world.kinds[request.param]
    known = {
        "issuer": world.doorward.issuer, "client_id": client["client_id"], "client_secret": client.get("client_secret"),
        "method": client["token_endpoint_auth_method"], "id_token_alg": client["id_token_signed_response_alg"],
        "redirect_uri": CALLBACK, "post_logout_redirect_uri": BYE, "scope": SCOPE,
    }  # fmt: skip
    assert program("configure", **known) == world.doorward.issuer
    return Flow(program, world, client, verifier, world.browser)


EACH = pytest.mark.parametrize("flow", KINDS, indirect=True)
ONE = pytest.mark.parametrize("flow", ["by Basic"], indirect=True)


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as found:
        call()
    return str(found.value.args[0])


@EACH
def test_a_code_becomes_tokens_for_the_user(flow: Flow) -> None:
    tokens = flow.connect()
    assert (tokens["claims"]["sub"], tokens["claims"]["aud"]) == (flow.world.user["id"], flow.client["client_id"])
    assert tokens["token_type"].lower() == "bearer"
    granted = tokens["scope"]
    assert set(granted.split() if isinstance(granted, str) else granted) == set(SCOPE.split())
    assert flow.is_good(tokens["access_token"])


@EACH
def test_a_refresh_brings_other_tokens_for_the_same_user(flow: Flow) -> None:
    before = flow.connect()
    after = flow.program("refresh", token=before["refresh_token"])
    for name in ("access_token", "refresh_token"):
        assert after[name] != before[name]
    assert after["claims"]["sub"] == before["claims"]["sub"]
    assert flow.is_good(after["access_token"])


@EACH
def test_a_client_with_a_secret_may_ask_about_its_tokens(flow: Flow) -> None:
    tokens = flow.connect()
    if flow.is_public:
        assert refused(lambda: flow.program("introspect", token=tokens["access_token"])) == "invalid_client"
        return
    found = flow.program("introspect", token=tokens["access_token"])
    assert (found["active"], found["sub"]) == (True, flow.world.user["id"])
    assert flow.program("introspect", token="nobody-issued-this") == {"active": False}


@EACH
@pytest.mark.parametrize("hint", ["access_token", "refresh_token"])
def test_what_it_revokes_is_dead_with_its_pair(flow: Flow, hint: str) -> None:
    tokens = flow.connect()
    flow.program("revoke", token=tokens[hint], hint=hint)
    assert not flow.is_good(tokens["access_token"])
    assert refused(lambda: flow.program("refresh", token=tokens["refresh_token"])) == "invalid_grant"
    # RFC 7009 §2.2: a second time is no error.
    flow.program("revoke", token=tokens[hint], hint=hint)


@EACH
def test_userinfo_tells_what_the_user_allowed(flow: Flow) -> None:
    tokens = flow.connect()
    known = flow.program("userinfo", token=tokens["access_token"], sub=flow.world.user["id"])
    told = {"sub": flow.world.user["id"], "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True}
    assert told.items() <= known.items()


@EACH
def test_logout_ends_the_session_and_brings_the_user_back(flow: Flow) -> None:
    flow.browser = Browser(flow.world.doorward)
    tokens = flow.connect()
    assert flow.browser.get("/account").status_code == 200
    reply = flow.browser.get(flow.program("leave", hint=tokens["id_token"], state="until then"))
    address = urlsplit(reply.headers["location"])
    assert (reply.status_code, address._replace(query="").geturl()) == (303, BYE)
    assert parse_qs(address.query) == {"state": ["until then"]}
    assert flow.browser.get("/account").status_code == 303


@ONE
def test_a_no_is_heard_as_one(flow: Flow) -> None:
    nobody = a_user(flow.world.doorward)
    browser = signed_in(flow.world.doorward, nobody)
    page: Page = consent_page(browser, browser.get(flow.program("begin")))
    address = browser.submit(page, answer="deny").headers["location"]
    assert refused(lambda: flow.program("arrive", address=address)) == "access_denied"


@ONE
def test_what_the_user_ends_cannot_be_refreshed(flow: Flow) -> None:
    tokens = flow.connect()
    page = flow.browser.get("/account").text
    form = {"csrf": Page(page).fields["csrf"], "client": flow.client["client_id"]}
    assert flow.browser.post("/account/apps", form).status_code == 303
    assert not flow.is_good(tokens["access_token"])
    assert refused(lambda: flow.program("refresh", token=tokens["refresh_token"])) == "invalid_grant"


@ONE
def test_a_code_is_good_once(flow: Flow) -> None:
    told = walk(flow.browser, flow.browser.get(flow.program("begin")), flow.world.user).told
    address = f"{CALLBACK}?{urlencode(told)}"
    tokens = flow.program("arrive", address=address)
    assert refused(lambda: flow.program("arrive", address=address)) == "invalid_grant"
    assert not flow.is_good(tokens["access_token"]), "and a second time ends what the first one brought"
