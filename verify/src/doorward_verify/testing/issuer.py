"""An issuer in the process of the tests: real HTTP on loopback, real signatures, and nothing to set up.

GET  /.well-known/oauth-authorization-server    /jwks    /assertions/jwks
GET  /revocations    /revocations/stream    /revocations/jwks
POST /oauth/token    /oauth/introspect
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from doorward_verify import api_key, assertion, jwt
from doorward_verify import scope as scopes
from doorward_verify.feed import Feed
from doorward_verify.source import basic
from doorward_verify.testing import feed, keys
from doorward_verify.testing.clock import Clock
from doorward_verify.testing.server import Conversation, LoopbackServer
from doorward_verify.verifier import _LIVE, Verifier

TOKEN, INTROSPECTION, JWKS, ASSERTION_JWKS = "/oauth/token", "/oauth/introspect", "/jwks", "/assertions/jwks"
HEARTBEAT = 0.5  # seconds, half of a server's, so that nobody who waits for one waits long
DEADLINE = 10.0
# The members of an answer to introspection by which revocations name a credential, as entries of the feed call them.
TIES = {"token": "jti", "grant": "grant_id", "client": "client_id", "account": "account", "api_key": "key_id"}

# What a gateway says in its own words, or not at all; and what is known of a credential here alone.
_NOT_ASSERTED = frozenset({"nbf", "status", "cnf", "networks", "ended"})

Members = dict[str, Any]


class Issuer(LoopbackServer):
    """`url` is what a Verifier takes for its issuer. Close it when it is not needed any more."""

    def __init__(self) -> None:
        self.clock = Clock(self._turned)
        self._feed_key = keys.ec_key("feed")
        self._signing_key = keys.ec_key("key-1")
        self._assertion_key = keys.ec_key("assertion-1")
        self._published = [self._signing_key]
        self._issued: dict[bytes, Members] = {}
        self._clients: dict[str, Members] = {}
        self._verifiers: dict[str, str] = {}
        self._made: list[Verifier] = []
        self._own = self.credentials("")
        self._ends = threading.Event()
        self._is_away = False
        self.feed = feed.RevocationFeed(self.clock.time, self._signed_heartbeat)
        super().__init__()
        threading.Thread(target=self._live, name="doorward-heartbeats", daemon=True).start()

    @property
    def url(self) -> str:
        return self.origin

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds its issuer by, and a client its token."""
        verifier_id, verifier_secret = self._own
        client_id, client_secret = self.client()
        return {
            "DOORWARD_ISSUER": self.url,
            "DOORWARD_VERIFIER_ID": verifier_id,
            "DOORWARD_VERIFIER_SECRET": verifier_secret,
            "DOORWARD_CLIENT_ID": client_id,
            "DOORWARD_CLIENT_SECRET": client_secret,
        }

    def close(self) -> None:
        """With the Verifiers that ask it."""
        for verifier in self._verifiers_here():
            verifier.close()
        self._ends.set()
        self.feed.cut()
        self.stop()

    def credentials(self, audience: str) -> tuple[str, str]:
        """The id and secret of a verifier for one api."""
        name, secret = _id("verifier"), _secret("s")
        self._verifiers[basic(name, secret)] = audience
        return name, secret

    def verifier(self, audience: str, **options: Any) -> Verifier:
        """One with credentials of its own, by the issuer's clock; it is closed with the issuer."""
        name, secret = self.credentials(audience)
        clocks = {"clock": self.clock.time, "monotonic": self.clock.monotonic}
        given = {"verifier_id": name, "verifier_secret": secret, **clocks, **options}
        self._made.append(Verifier(self.url, audience=audience, **given))
        return self._made[-1]

    def client(self, *, scope: str = "", account: str = "acme", audience: str | None = None) -> tuple[str, str]:
        """The id and secret of a client that may fetch tokens with this scope (RFC 6749 §4.4)."""
        name, secret = _id("client"), _secret("s")
        self._clients[basic(name, secret)] = {
            "client_id": name, "scope": scope, "account": account, "audience": audience,
        }  # fmt: skip
        return name, secret

    @property
    def audience(self) -> str:
        """That of the application under test. Raises LookupError unless its Verifiers have exactly one."""
        own = {one.audience for one in self._verifiers_here() if one._view._authorization == basic(*self._own)}
        found = own or {one.audience for one in self._verifiers_here()}
        if len(found) != 1:
            raise LookupError(f"pass audience=...: the Verifiers of this issuer have {sorted(found) or 'none'}")
        return found.pop()

    def token(
        self, *, scope: str = "", audience: str | None = None, account: str | None = "acme", subject: str | None = None,
        client_id: str = "client_1", expires_in: int = 300, **claims: Any,
    ) -> str:  # fmt: skip
        """A JWT access token (RFC 9068). `claims` are added to it, or replace what is in it; None leaves one out."""
        now = int(self.clock.time())
        issued = {
            "iss": self.url, "sub": subject or client_id, "aud": audience or self.audience, "client_id": client_id,
            "scope": scope, "iat": now, "exp": now + expires_in, "jti": _id("token"), "grant_id": _id("grant"),
            "account": account, "pos": self.feed.head, **claims,
        }  # fmt: skip
        issued = {name: value for name, value in issued.items() if value is not None}
        return self._issue(keys.token(self._signing_key, "at+jwt", issued), issued)

    def opaque_token(
        self, *, scope: str = "", audience: str | None = None, account: str | None = "acme", subject: str | None = None,
        client_id: str = "client_1", expires_in: int = 300, **members: Any,
    ) -> str:  # fmt: skip
        """`members` are added to what introspection answers (RFC 7662 §2.2)."""
        about = {
            "credential": "opaque", "sub": subject or client_id, "client_id": client_id, "jti": _id("token"),
            "grant_id": _id("grant"), **members,
        }  # fmt: skip
        return self._issue_secret("o", "live", scope, audience, account, expires_in, about)

    def api_key(
        self, *, scope: str = "", audience: str | None = None, account: str | None = "acme",
        expires_in: int | None = None, environment: str = "live", **members: Any,
    ) -> str:  # fmt: skip
        """`members` are added to what introspection answers."""
        about = {"credential": "api_key", "sub": account, "key_id": _id("key"), **members}
        return self._issue_secret("", environment, scope, audience, account, expires_in, about)

    def assertion(
        self, service: str, method: str = "GET", target: str = "/", credential: str | None = None, **members: Any
    ) -> str:  # fmt: skip
        """What a gateway says in X-Auth-Assertion of a request that it let through, to `Guard(behind=service)`.

        `target` is the path with its query, as the client sends it. The request was made with the `credential`, which
        this issuer made, or with an API key that has the `members`: `scope="invoices:read", account="acme", ...`.
        """
        about = self._known(credential or self.api_key(**members))
        path, mark, query = target.partition("?")
        now = int(self.clock.time())
        claims = {
            "credential": "jwt", **{name: value for name, value in about.items() if name not in _NOT_ASSERTED},
            "iss": self.url, "aud": service, "api": about["aud"], "token": about.get("jti"), "htm": method,
            "uri": assertion.uri(unquote(path) + mark + query), "pos": self.feed.head, "iat": now,
            "exp": min(now + assertion.LIFETIME, about.get("exp", math.inf)), "jti": _id("assertion"),
        }  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        return keys.token(self._assertion_key, assertion.TYPE, told)

    def _known(self, credential: str) -> Members:
        about = self._issued.get(api_key.digest(credential))
        if about is None:
            raise LookupError("this issuer did not issue that credential")
        return about

    def revoke(self, credential: str | None = None, **ended: str) -> None:
        """Ends a credential, or all of a `grant`, `client` or `account`; returns when every Verifier here knows.

        It has moved the clock on by a second, within which a Verifier without the feed notices. Raises LookupError when
        nothing of it was issued.
        """
        if credential is not None:
            about = self._known(credential)
            kind = "token" if "jti" in about else "api_key"
            ended[kind] = about[TIES[kind]]
        for kind, value in ended.items():
            self._end(kind, value)
        self.clock.advance(1)

    def rotate_signing_key(self) -> None:
        """Tokens are signed by a new key; the old one is published no longer."""
        self._signing_key = keys.ec_key(_id("key"))
        self._published = [self._signing_key]

    @contextmanager
    def away(self) -> Iterator[None]:
        """As if the server were down."""
        self._is_away = True
        self.feed.cut()
        self.stop()
        try:
            yield
        finally:
            self.start_again()
            self._is_away = False

    def converse(self, conversation: Conversation) -> None:
        match conversation.route:
            case "/.well-known/oauth-authorization-server":
                conversation.reply(200, self._metadata())
            case "/jwks":
                conversation.reply(200, keys.jwks(*self._published))
            case "/assertions/jwks":
                conversation.reply(200, keys.jwks(self._assertion_key))
            case feed.JWKS:
                conversation.reply(200, keys.jwks(self._feed_key))
            case "/oauth/token":
                self._grant(conversation)
            case "/oauth/introspect" | feed.LOG | feed.STREAM as route:
                self._tell(conversation, route)
            case _:
                conversation.reply(404, {"error": "not_found"})

    def _metadata(self) -> Members:
        return {
            "issuer": self.url,
            "jwks_uri": self.origin + JWKS,
            "assertions_jwks_uri": self.origin + ASSERTION_JWKS,
            "token_endpoint": self.origin + TOKEN,
            "introspection_endpoint": self.origin + INTROSPECTION,
            "revocations_endpoint": self.origin + feed.LOG,
            "revocations_stream_endpoint": self.origin + feed.STREAM,
            "revocations_jwks_uri": self.origin + feed.JWKS,
        }

    def _tell(self, conversation: Conversation, route: str) -> None:
        """To verifiers alone."""
        authorization = conversation.headers["authorization"]
        if authorization not in self._verifiers:
            conversation.reply(401, {"error": "invalid_client"})
        elif route == INTROSPECTION:
            conversation.reply(200, self._about(conversation.form), {"doorward-position": self.feed.head})
        elif route == feed.LOG:
            self.feed.answer(conversation)
        else:
            self.feed.pour(conversation, self._verifiers[authorization] or self.audience)

    def _about(self, question: Mapping[str, str]) -> Members:
        """RFC 7662 §2.2."""
        asked = question.get("token_sha256")
        digest = api_key.digest(question.get("token", "")) if asked is None else jwt.b64url_decode(asked)
        about = self._issued.get(digest)
        if about is None or about.get("ended") or about.get("exp", self.clock.time() + 1) <= self.clock.time():
            return {"active": False}
        return {"active": True, **about}

    def _grant(self, conversation: Conversation) -> None:
        """RFC 6749 §4.4 and §5."""
        client = self._clients.get(conversation.headers["authorization"])
        form = conversation.form
        wanted = form.get("scope", client["scope"] if client else "")
        if client is None:
            conversation.reply(401, {"error": "invalid_client"})
        elif form.get("grant_type") != "client_credentials":
            conversation.reply(400, {"error": "unsupported_grant_type"})
        elif not scopes_of(wanted) <= scopes_of(client["scope"]):
            conversation.reply(400, {"error": "invalid_scope"})
        else:
            audience = form.get("resource") or client["audience"]
            granted = {"scope": wanted, "account": client["account"], "client_id": client["client_id"]}
            token = self.token(audience=audience, **granted)
            body = {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": wanted}
            conversation.reply(200, body, {"cache-control": "no-store"})

    def _issue_secret(
        self, kind: str, environment: str, scope: str, audience: str | None, account: str | None,
        expires_in: int | None, about: Members,
    ) -> str:  # fmt: skip
        expires_at = None if expires_in is None else int(self.clock.time()) + expires_in
        members = {
            "iss": self.url, "aud": audience or self.audience, "scope": scope, "account": account, "exp": expires_at,
            "environment": environment, **about,
        }  # fmt: skip
        known = {name: value for name, value in members.items() if value is not None}
        return self._issue(_secret(kind, environment), known)

    def _issue(self, text: str, about: Members) -> str:
        self._issued[api_key.digest(text)] = about
        return text

    def _end(self, kind: str, value: str) -> None:
        member = TIES[kind]
        hit = [about for about in self._issued.values() if about.get(member) == value]
        if not hit:
            raise LookupError(f"nothing was issued with {member}={value!r}")
        for about in hit:
            about["ended"] = True
        self.feed.tell(kind, value)

    def _signed_heartbeat(self, claims: Members) -> str:
        return keys.token(self._feed_key, "feed+jwt", {"iss": self.url, **claims})

    def _live(self) -> None:
        while not self._ends.wait(HEARTBEAT):
            self.feed.beat()

    def _turned(self) -> None:
        """Returns when whoever follows the feed here has heard everything; others will ask anew by themselves."""
        position, at = (self.feed.epoch, self.feed.seq), self.clock.monotonic()
        self.feed.beat()
        deadline = time.monotonic() + DEADLINE
        while not self._is_away and any(not _has_heard(one, position, at) for one in self._followed()):
            if time.monotonic() > deadline:
                raise TimeoutError("a Verifier does not hear the revocation feed")
            self._ends.wait(0.002)

    def _followed(self) -> list[Feed]:
        found = [one._view.feed for one in self._verifiers_here()]
        return [one for one in found if isinstance(one, Feed) and one.line.vouched_at > -math.inf]

    def _verifiers_here(self) -> list[Verifier]:
        return [verifier for verifier in list(_LIVE) if verifier.issuer == self.url]


def _has_heard(one: Feed, position: tuple[int, int], at: float) -> bool:
    last = one.state.last
    return last is not None and last >= position and one.line.vouched_at >= at


def scopes_of(text: str) -> frozenset[str]:
    return scopes.parse(text) if text else frozenset()


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(6)}"


def _secret(kind: str, environment: str = "live") -> str:
    return api_key.assemble("dw", kind, environment, secrets.token_hex(6), secrets.token_hex(16))
