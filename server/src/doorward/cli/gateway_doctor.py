"""`doorward gateway doctor`: every attack is made, and what came of it judged by rules that hold for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from doorward.cli.failure import Failure
from doorward.cli.gateway_attacks import (
    BROKEN,
    FIXES,
    FORGED_KEY,
    SMUGGLED,
    SPOOF,
    Case,
    Patient,
    bearer,
    cases,
    opening,
    request,
)
from doorward.cli.gateway_config import CREDENTIALS, IDENTITY
from doorward.cli.gateway_wire import SWITCHING, Door, Echo, Reply, Seen, connected, send
from doorward_verify import assertion, jwt

OK, HOLE, SKIPPED = "ok", "HOLE", "skipped"
NAMES = frozenset(name.lower() for name in IDENTITY)
CREDENTIAL_NAMES = frozenset(name.lower() for name in CREDENTIALS)


@dataclass(frozen=True, slots=True)
class Finding:
    case: str
    verdict: str
    found: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the last request of a case."""

    reply: Reply
    seen: tuple[Seen, ...]


def examine(door: Door, patient: Patient, echo: Echo | None, told: Callable[[str], None]) -> Iterator[Finding]:
    """`told` hears the name of each case before it is tried."""
    reach(door)
    known: frozenset[str] = frozenset()
    if patient.key:
        opened = _made(door, opening(patient), echo)
        if not _passed(opened) or (echo is not None and len(opened.seen) != 1):
            yield Finding("a good credential", HOLE, f"it is refused ({opened.reply.status})", NOT_OPEN)
            return
        yield _judged(opening(patient), opened, patient, known)
        known = _identity_of(opened)
        if echo is not None and "x-auth-assertion" not in known:
            yield Finding(
                "an assertion for the service", HOLE, "none came", "set X-Auth-Assertion of Doorward's answer"
            )
    for case in cases(patient):
        told(case.name)
        if case.needs_echo and echo is None:
            yield Finding(case.name, SKIPPED, "needs --echo")
            continue
        yield _judged(case, _made(door, case, echo), patient, known)


NOT_OPEN = "give --path of a route that the key opens for GET; with --echo, let the gateway reach it there"


def reach(door: Door) -> None:
    """Where nobody answers nothing passes, and that proves nothing."""
    try:
        connected(door).close()
    except OSError as fault:
        told = getattr(fault, "verify_message", None) or fault.strerror or type(fault).__name__
        raise Failure(f"nobody answers at {door.authority}: {told.lower()}") from None


def plaintext(door: Door, patient: Patient) -> Iterator[Finding]:
    """Its port answers everybody alike, and nobody gets anything."""
    reach(door)
    # A forged one: a good key has no business in the clear.
    raws = (request(patient), request(patient, "GET", None, bearer(FORGED_KEY)), request(patient, "POST", "/doctor"))
    replies = [send(door, raw) for raw in raws]
    fix = "answer 403 to everything on the plaintext port; neither serve nor redirect"
    for reply in replies:
        if reply.status not in (403, 0):
            yield Finding("the plaintext port", HOLE, f"it answers {reply.status}", fix)
            return
    alike = len({(reply.status, reply.body) for reply in replies}) == 1
    yield Finding(
        "the plaintext port", OK if alike else HOLE, "" if alike else "its answers differ", "" if alike else fix
    )


def _made(door: Door, case: Case, echo: Echo | None) -> Outcome:
    for raw in case.requests[:-1]:
        send(door, raw)
    if echo is not None:
        echo.taken()
    reply = send(door, case.requests[-1])
    return Outcome(reply, tuple(echo.taken()) if echo is not None else ())


def _passed(outcome: Outcome) -> bool:
    return bool(outcome.seen) or 200 <= outcome.reply.status < 400 or outcome.reply.status == SWITCHING


def _judged(case: Case, outcome: Outcome, patient: Patient, known: frozenset[str]) -> Finding:
    for found, fix in _holes(case, outcome, patient, known):
        return Finding(case.name, HOLE, found, fix)
    return Finding(case.name, OK)


def _holes(case: Case, outcome: Outcome, patient: Patient, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    """What went wrong, with its fix; the first is told."""
    reply = outcome.reply
    if _passed(outcome) and not case.may_pass:
        yield (f"it passes ({reply.status or 'no answer'})", case.fix)
    if any(name.lower() in NAMES for name, _ in reply.headers):
        yield ("the answer tells the client what the service is told", FIXES["check"])
    if reply.status == 200 and any(name.lower() == "x-auth-status" for name, _ in reply.headers):
        yield ("Doorward itself answers", FIXES["check"])
    for seen in outcome.seen:
        yield from _seen_holes(seen, patient, known)


def _seen_holes(seen: Seen, patient: Patient, known: frozenset[str]) -> Iterator[tuple[str, str]]:
    if SMUGGLED in seen.target:
        yield "a request within a request reaches the service", FIXES["framing"]
    for name, value in seen.headers:
        yield from _header_holes(name, value, patient)
    if patient.key and patient.key in seen.target:
        yield "the service sees the credential, in the URL", FIXES["leak"]
    missing = sorted(name for name in known if not seen.values(name))
    if missing:
        yield f"the service misses {', '.join(missing)}", FIXES["hop"]
    repeated = sorted(name for name in NAMES if len(seen.values(name)) > 1)
    if repeated:
        yield f"the service sees {', '.join(repeated)} more than once", FIXES["identity"]
    yield from _misplaced(seen)


def _header_holes(name: str, value: str, patient: Patient) -> Iterator[tuple[str, str]]:
    plain = name.lower().strip().replace("_", "-")
    if plain == BROKEN:
        if not value.isprintable():
            yield f"the service sees a control character in {name}", FIXES["framing"]
    elif SPOOF in value or (plain in NAMES and plain != name.lower()):
        yield f"the service sees the client's {name}", FIXES["identity" if plain.startswith("x-auth-") else "forged"]
    if (patient.key and patient.key in value) or plain in CREDENTIAL_NAMES:
        yield f"the service sees the credential, in {name}", FIXES["leak"]
    if value.lower() == "h2c":
        yield "the service is asked to speak h2c", FIXES["upgrade"]


def _misplaced(seen: Seen) -> Iterator[tuple[str, str]]:
    """The assertion names the request that was decided on: it is another than the one that came, or the same."""
    for text in seen.values("x-auth-assertion"):
        claims = _claims(text)
        path, _, query = seen.target.partition("?")
        written = f"{unquote(path)}?{query}" if query else unquote(path)
        if claims.get("htm") != seen.method or claims.get("uri") != assertion.uri(written):
            yield "the service gets another request than Doorward was asked about", FIXES["path"]


def _claims(text: str) -> dict[str, object]:
    try:
        found = json.loads(jwt.b64url_decode(text.split(".")[1]))
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def _identity_of(outcome: Outcome) -> frozenset[str]:
    return frozenset(name for name in NAMES for seen in outcome.seen if seen.values(name))
