"""The checks of the authorization endpoint, RFC 6749 §4.1.1, with RFC 7636, 8252, 8707 and OpenID Connect Core §3.1.2.

GET /oauth/authorize?response_type=code&client_id=...&redirect_uri=...&code_challenge=...&code_challenge_method=S256
    &scope=...&state=...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from doorward.protocol import claims, consent, pkce, redirect_uri, sign_in
from doorward.protocol.client import ClientFacts, GrantFacts
from doorward.protocol.entities import JSON
from doorward.protocol.form import REPEATABLE
from doorward.protocol.refusal import (
    Destination,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    Refusal,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
)
from doorward.protocol.scope import requested
from doorward_verify import scope as scopes
from doorward_verify.scope import Scope

GRANT_TYPE = "authorization_code"
RESPONSE_MODES = ("query", "form_post")
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
TEXT_LIMIT = 2048
HINT_LIMIT = 200
OURS = "client_id", "redirect_uri"
SETS = "scope", "prompt", "subjects"


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was sent, repeated or not: who must not hear of a mistake is not known before the first checks."""

    values: Mapping[str, tuple[str, ...]]
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str | None:
        """An empty value is an absent one (T009), and one of two is nobody's to choose."""
        given = () if name in self.repeated else self.values.get(name, ())
        return given[0] if given and given[0] else None

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(filter(None, self.values.get(name, ())))


def parameters(pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Of the query and of a POST's body: a name that stands in both is repeated (T008)."""
    values: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        values[name] = (*values.get(name, ()), value)
    repeated = (name for name, given in values.items() if len(given) > 1 and name not in REPEATABLE)
    return Parameters(values, frozenset(repeated))


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a client asked for, once it passed every check; kept as JSON while a browser is on its way.

    `subjects` are the users of whom alone it wants to hear, where it named any.
    """

    client_id: str
    redirect_uri: str
    response_mode: str
    code_challenge: str
    scope: Scope
    api_id: str | None
    state: str | None = None
    nonce: str | None = None
    prompt: Scope = frozenset()
    max_age: int | None = None
    claims: claims.Asked = field(default_factory=dict)
    login_hint: str | None = None
    ui_locales: str | None = None
    subjects: frozenset[str] = frozenset()

    @property
    def destination(self) -> Destination:
        return Destination(self.redirect_uri, self.response_mode, self.state)

    def kept(self) -> dict[str, JSON]:
        values: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        sets = {name: sorted(getattr(self, name)) for name in SETS}
        return {**values, **sets, "claims": dict(self.claims)}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Authorization:
        return cls(**{**kept, **{name: frozenset(kept[name]) for name in SETS if name in kept}})


def check(asked: Parameters, client: ClientFacts | None) -> Authorization:
    """Raises the first refusal of the table; it `goes_to` the client only where the table says so."""
    for passes, place in CHECKS:
        try:
            passes(asked, client)
        except Refusal as refusal:
            if place == CLIENT:
                refusal.goes_to = _destination(asked)
            raise
    assert client is not None, "it is known"
    return _passed(asked, client)


def still_holds(asked: Authorization, client: ClientFacts | None) -> bool:
    """Whether what passed the checks would pass them now, as far as an administrator may have changed it."""
    if client is None or not _is_active(client) or not redirect_uri.matches(asked.redirect_uri, client.client):
        return False
    granted = granted_at(client, asked.api_id)
    return (granted is None) == (asked.api_id is None) and asked.scope <= consent.allowed(granted)


def granted_at(client: ClientFacts, api_id: str | None) -> GrantFacts | None:
    """The administrator's grant for an api."""
    return next((one for one in client.grants if one.api.id == api_id), None)


def _destination(asked: Parameters) -> Destination:
    state = asked.get("state")
    mode = asked.get("response_mode")
    # Neither a state that is cut short nor one that no address can hold is the one that the client sent (T010).
    known = state if state is None or len(state.encode()) <= TEXT_LIMIT else None
    return Destination(asked.get("redirect_uri") or "", mode if mode in RESPONSE_MODES else RESPONSE_MODES[0], known)


def _passed(asked: Parameters, client: ClientFacts) -> Authorization:
    target = _target(asked, client)
    max_age, named = asked.get("max_age"), _claims(asked)
    return Authorization(
        client.client.id, asked.get("redirect_uri") or "", asked.get("response_mode") or RESPONSE_MODES[0],
        asked.get("code_challenge") or "", _scope(asked, client), None if target is None else target.api.id,
        asked.get("state"), asked.get("nonce"), _prompt(asked), None if max_age is None else int(max_age),
        named, _hint(asked, "login_hint"), _hint(asked, "ui_locales"), claims.subjects(named),
    )  # fmt: skip


def _hint(asked: Parameters, name: str) -> str | None:
    """A hint that is too long is none."""
    text = asked.get(name)
    return text if text is not None and len(text) <= HINT_LIMIT else None


def _its_client_is_named_once(asked: Parameters, client: ClientFacts | None) -> None:
    if not asked.repeated.isdisjoint(OURS):
        raise InvalidRequest("client_id or redirect_uri is repeated")


def _its_client_is_known(asked: Parameters, client: ClientFacts | None) -> None:
    """T004: unknown and disabled are one answer."""
    if client is None or not _is_active(client):
        raise InvalidRequest("the client is unknown", reason="client_unknown")


def _is_active(client: ClientFacts) -> bool:
    return client.client.state == "active" and client.account.state == "active"


def _its_address_is_registered(asked: Parameters, client: ClientFacts | None) -> None:
    uri = asked.get("redirect_uri")
    if client is None or uri is None or not redirect_uri.matches(uri, client.client):
        raise InvalidRequest("redirect_uri is not registered", reason="redirect_uri_unregistered")


def _its_client_may_ask_for_codes(asked: Parameters, client: ClientFacts | None) -> None:
    if client is None or GRANT_TYPE not in client.client.grant_types:
        raise UnauthorizedClient("the client may not use this grant type")


def _each_parameter_comes_once(asked: Parameters, client: ClientFacts | None) -> None:
    if asked.repeated:
        raise InvalidRequest("a parameter is repeated")


def _state_and_nonce_are_short(asked: Parameters, client: ClientFacts | None) -> None:
    if any(len((asked.get(name) or "").encode()) > TEXT_LIMIT for name in ("state", "nonce")):
        raise InvalidRequest("state or nonce is longer than 2 KiB")


def _it_asks_for_a_code(asked: Parameters, client: ClientFacts | None) -> None:
    kind = asked.get("response_type")
    if kind is None:
        raise InvalidRequest("response_type is missing")
    if kind != "code":
        raise UnsupportedResponseType("only codes are given here")


def _it_can_be_answered_so(asked: Parameters, client: ClientFacts | None) -> None:
    if asked.get("response_mode") not in (None, *RESPONSE_MODES):
        raise InvalidRequest("response_mode is not offered")


def _it_stands_in_the_parameters(asked: Parameters, client: ClientFacts | None) -> None:
    if asked.get("request") is not None:
        raise RequestNotSupported("request objects are not supported")
    if asked.get("request_uri") is not None:
        raise RequestUriNotSupported("request_uri is not supported")


def _its_challenge_is_by_s256(asked: Parameters, client: ClientFacts | None) -> None:
    """T006: from every client."""
    if asked.get("code_challenge_method") != pkce.METHOD or not pkce.is_challenge(asked.get("code_challenge")):
        raise InvalidRequest("a code_challenge by S256 is needed", reason="pkce_missing")


def _its_resource_is_allowed(asked: Parameters, client: ClientFacts | None) -> None:
    assert client is not None, "it is known"
    _target(asked, client)


def _target(asked: Parameters, client: ClientFacts) -> GrantFacts | None:
    """RFC 8707 §2.1: the named api, or the only one; without any the issuer is its audience (decision 11)."""
    resources = asked.all("resource")
    if len(resources) > 1:
        raise InvalidTarget("one resource at a time")
    if resources:
        named = next((one for one in client.grants if one.api.identifier == resources[0]), None)
        if named is None:
            raise InvalidTarget("resource is unknown")
        return named
    if len(client.grants) <= 1:
        return client.grants[0] if client.grants else None
    if asked.get("scope") is None or set((asked.get("scope") or "").split(" ")) - consent.OIDC.keys():
        raise InvalidTarget("resource is needed: the client has several apis")
    return None


def _its_scope_is_allowed(asked: Parameters, client: ClientFacts | None) -> None:
    assert client is not None, "it is known"
    _scope(asked, client)


def _scope(asked: Parameters, client: ClientFacts) -> Scope:
    """What was asked for; without that, all of the api that the client may have (RFC 6749 §3.3)."""
    text = asked.get("scope")
    if text is not None and len(text) > scopes.LIMIT:
        raise InvalidRequest("scope is longer than 4 KiB")
    most = consent.allowed(_target(asked, client))
    wanted = requested(text)
    if wanted is None:
        wanted = most - consent.OIDC.keys()
    if "refresh_token" not in client.client.grant_types:
        wanted -= {"offline_access"}
    if not wanted or not wanted <= most:
        raise InvalidScope("scope exceeds what the client may ask for")
    return wanted


def _its_prompt_makes_sense(asked: Parameters, client: ClientFacts | None) -> None:
    prompt = _prompt(asked)
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise InvalidRequest("prompt is contradictory or unknown")


def _prompt(asked: Parameters) -> Scope:
    return frozenset((asked.get("prompt") or "").split())


def _its_max_age_is_a_number(asked: Parameters, client: ClientFacts | None) -> None:
    text = asked.get("max_age")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest("max_age is not a number of seconds")


def _its_claims_are_an_object(asked: Parameters, client: ClientFacts | None) -> None:
    _claims(asked)


def _claims(asked: Parameters) -> claims.Asked:
    text = asked.get("claims")
    try:
        return {} if text is None else claims.read(text)
    except ValueError:
        raise InvalidRequest("claims is not a request for claims") from None


def _its_acr_can_be_reached(asked: Parameters, client: ClientFacts | None) -> None:
    if not any(claims.reaches(_claims(asked), acr) for acr in sign_in.ACRS):
        raise UnmetAuthenticationRequirements("nobody can sign in here as strongly as asked")


PAGE, CLIENT = "page", "client"
# In this order. Where an error goes is the point: before the address is known to be the client's, nowhere but here.
CHECKS: tuple[tuple[Callable[[Parameters, ClientFacts | None], None], str], ...] = (
    #  check                         where its error goes
    (_its_client_is_named_once,      PAGE),    # T008
    (_its_client_is_known,           PAGE),    # T004
    (_its_address_is_registered,     PAGE),    # T001, T002
    (_state_and_nonce_are_short,     CLIENT),  # T010
    (_each_parameter_comes_once,     CLIENT),  # T008
    (_its_client_may_ask_for_codes,  CLIENT),
    (_it_asks_for_a_code,            CLIENT),  # T005
    (_it_can_be_answered_so,         CLIENT),
    (_it_stands_in_the_parameters,   CLIENT),  # T019
    (_its_challenge_is_by_s256,      CLIENT),  # T006
    (_its_resource_is_allowed,       CLIENT),  # T021
    (_its_scope_is_allowed,          CLIENT),  # T015
    (_its_prompt_makes_sense,        CLIENT),  # T016
    (_its_max_age_is_a_number,       CLIENT),
    (_its_claims_are_an_object,      CLIENT),
    (_its_acr_can_be_reached,        CLIENT),
)  # fmt: skip
