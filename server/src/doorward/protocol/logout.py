"""RP-initiated logout, OpenID Connect RP-Initiated Logout 1.0 §2: a client sends its user here to sign out.

GET /oauth/logout?id_token_hint=...&post_logout_redirect_uri=https%3A%2F%2Fclient.example%2Fbye&state=...

Who comes with an ID token of the very session is signed out at once; everybody else is asked (T151). He goes on to an
address that the client registered, letter by letter, or stays here (T144).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from doorward.protocol import id_token, session
from doorward.protocol.authorization import TEXT_LIMIT, Parameters
from doorward.protocol.client import ClientFacts
from doorward.protocol.decision import Decision
from doorward.protocol.id_token import Hint
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import InvalidRequest
from doorward.protocol.session import SessionFacts
from doorward_verify import jwt
from doorward_verify.errors import DoorwardError

HINT, CLIENT, AFTER, STATE = "id_token_hint", "client_id", "post_logout_redirect_uri", "state"
# What our own page keeps of a request while it asks.
KEPT = (HINT, CLIENT, AFTER, STATE)


@dataclass(frozen=True, slots=True)
class Request:
    """`session` is the digest of the browser's cookie; `answered` says that he was asked on our page, and said yes."""

    asked: Parameters
    session: str | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """`keys` are all that are published, retired ones too; `client` is the one that was named, if it is known."""

    client: ClientFacts | None = None
    session: SessionFacts | None = None
    keys: jwt.Keys = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """Nobody is signed in in this browser now; he goes on to `uri`, with the client's `state`, or stays here."""

    uri: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Whether he wants to sign out; `client` is who he is sent back to at `uri`, and `kept` what his answer repeats."""

    user: str
    client: str | None = None
    uri: str | None = None
    kept: Mapping[str, str] = field(default_factory=dict)


def client_named(asked: Parameters, keys: jwt.Keys, issuer: str) -> str | None:
    """By itself, or else by the ID token that it brings."""
    named = asked.get(CLIENT)
    if named is not None:
        return named
    hint = _read(asked.get(HINT), keys, issuer)
    return None if hint is None else hint.client_id


def decide(request: Request, facts: Facts, policy: Policy, moment: Moment) -> Decision[Done | Question]:
    asked, hint = request.asked, _read(request.asked.get(HINT), facts.keys, policy.issuer)
    for passes in CHECKS:
        passes(asked, facts, hint)
    uri = asked.get(AFTER)
    now, known = session.live(facts.session, policy, moment.now), facts.session
    is_its_own = known is not None and hint is not None and _is_of(hint, known)
    if now is not None and not is_its_own and not request.answered:
        kept = {name: value for name in KEPT if (value := asked.get(name)) is not None}
        named = facts.client.client.name if facts.client and uri is not None else None
        return Decision(Question(now.user.username, named, uri, kept))
    # A session that was idle for too long ends here too: its clients have not heard of that.
    ended = session.end((known.session,), moment) if known is not None and (is_its_own or request.answered) else ()
    # Without a hint and without an answer anybody could send people on from here.
    goes_on = hint is not None or request.answered
    return Decision(Done(uri, asked.get(STATE)) if goes_on and uri is not None else Done(), ended)


def _read(text: str | None, keys: jwt.Keys, issuer: str) -> Hint | None:
    """T020: one that we signed, whatever its age. What cannot be believed is none, and is refused below."""
    try:
        return None if text is None else id_token.read(text, keys, issuer)
    except DoorwardError:
        return None


def _is_of(hint: Hint, known: SessionFacts) -> bool:
    return (hint.session_id, hint.subject) == (known.session.id, known.user.id)


def _each_parameter_comes_once(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    if asked.repeated:
        raise InvalidRequest("a parameter is repeated")


def _its_state_is_short(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    if len((asked.get(STATE) or "").encode()) > TEXT_LIMIT:
        raise InvalidRequest("state is longer than 2 KiB")


def _its_hint_is_ours(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    if asked.get(HINT) is not None and hint is None:
        raise InvalidRequest("id_token_hint is no id token of this server", reason="id_token_hint_invalid")


def _its_hint_is_its_own(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    named = asked.get(CLIENT)
    if hint is not None and named is not None and hint.client_id != named:
        raise InvalidRequest("id_token_hint is no id token of this client", reason="id_token_hint_invalid")


def _its_client_is_known(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    """T004: unknown and disabled are one answer."""
    if asked.get(CLIENT) is not None and not _is_active(facts.client):
        raise InvalidRequest("the client is unknown", reason="client_unknown")


def _its_address_is_registered(asked: Parameters, facts: Facts, hint: Hint | None) -> None:
    """§3: exactly; also of a client that nobody named it is not."""
    uri, client = asked.get(AFTER), facts.client
    if uri is None:
        return
    if client is None or not _is_active(client) or uri not in client.client.post_logout_redirect_uris:
        raise InvalidRequest("post_logout_redirect_uri is not registered", reason="post_logout_uri_unregistered")


def _is_active(client: ClientFacts | None) -> bool:
    return client is not None and client.client.state == "active" and client.account.state == "active"


# In this order, and each of them has its answer here: nothing is sent on that did not pass all of them.
CHECKS: tuple[Callable[[Parameters, Facts, Hint | None], None], ...] = (
    _each_parameter_comes_once,   # T008
    _its_state_is_short,          # T010
    _its_hint_is_ours,            # T020
    _its_hint_is_its_own,
    _its_client_is_known,         # T004
    _its_address_is_registered,   # T144
)  # fmt: skip
