"""Everything that can be ended, one row each: what is made, what must be refused afterwards, and what ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests import browsing
from tests.deployment import Doorward, Json, Response

from doorward_verify.jwt import parse


@dataclass
class Place:
    """Two apis, one of each token format, a client with tokens for both, and an app that people use."""

    doorward: Doorward
    token_lifetime: int = 3600
    apis: Mapping[str, str] = field(default_factory=dict)
    clients: Mapping[str, Json] = field(default_factory=dict)
    app: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("jwt", "opaque"):
            made = self.doorward.an_api(token_format=name, token_lifetime=self.token_lifetime)
            self.apis = {**self.apis, name: made["identifier"]}
        account = self.doorward.an_account()["id"]
        self.clients = {name: self.doorward.a_client(api=api, account=account) for name, api in self.apis.items()}
        self.app = browsing.an_app(self.doorward, api=self.apis["jwt"], account=account, first_party=True)

    def revoke(self, **what: str) -> Callable[[], Response]:
        return lambda: self.doorward.v1("POST", "/revocations", what)


@dataclass(frozen=True)
class Doomed:
    """`texts` are the credentials that `end` ends, each with the token format of the api that it is for."""

    texts: tuple[tuple[str, str], ...]
    end: Callable[[], Response]


def _token(place: Place, token_format: str) -> Doomed:
    """As its own client ends it (RFC 7009)."""
    client = place.clients[token_format]
    text = place.doorward.token(client)
    return Doomed(((token_format, text),), lambda: place.doorward.post("revoke", client, token=text))


def _grant(place: Place) -> Doomed:
    client = place.doorward.a_client(api=place.apis["jwt"], account=place.clients["jwt"]["account"])
    return Doomed(
        (("jwt", place.doorward.token(client)), ("jwt", place.doorward.token(client))),
        place.revoke(grant=client["apis"][0]["grant_id"]),
    )


def _client(place: Place) -> Doomed:
    client = place.doorward.a_client(api=place.apis["opaque"], account=place.clients["opaque"]["account"])
    return Doomed((("opaque", place.doorward.token(client)),), place.revoke(client=client["client_id"]))


def _account(place: Place) -> Doomed:
    account = place.doorward.an_account()["id"]
    client = place.doorward.a_client(api=place.apis["jwt"], account=account)
    api_key = place.doorward.a_key(api=place.apis["jwt"], account=account)
    return Doomed((("jwt", place.doorward.token(client)), ("jwt", api_key["key"])), place.revoke(account=account))


def _api_key(place: Place) -> Doomed:
    account = place.clients["jwt"]["account"]
    api_key = place.doorward.a_key(api=place.apis["jwt"], account=account)
    return Doomed((("jwt", api_key["key"]),), place.revoke(api_key=api_key["id"]))


def _user(place: Place) -> Doomed:
    user, text = _signed_in(place)
    return Doomed((("jwt", text),), place.revoke(user=user["id"]))


def _session(place: Place) -> Doomed:
    _, text = _signed_in(place)
    sid = parse(text).claims["sid"]
    return Doomed((("jwt", text),), lambda: place.doorward.v1("POST", f"/sessions/{sid}/revoke"))


def _signed_in(place: Place) -> tuple[Json, str]:
    """Somebody, and the token that the app got in his name."""
    user = browsing.a_user(place.doorward)
    return user, browsing.tokens(browsing.signed_in(place.doorward, user), place.app)["access_token"]


def _everything(place: Place) -> Doomed:
    texts = tuple((name, place.doorward.token(client)) for name, client in place.clients.items())
    return Doomed(texts, place.revoke(everything="access_tokens"))


KINDS: dict[str, Callable[[Place], Doomed]] = {
    "a JWT": lambda place: _token(place, "jwt"),
    "an opaque token": lambda place: _token(place, "opaque"),
    "a grant": _grant,
    "a client": _client,
    "an account": _account,
    "an API key": _api_key,
    "a user": _user,
    "a session": _session,
}

# These end what the others made, too: they stand alone.
SWEEPING: dict[str, Callable[[Place], Doomed]] = {"everything": _everything}
