"""What the doctor tries: every case is one request, or a few, that a gateway may not let through, or not as it came.

A case that `may_pass` is one where the credential is good: then it is looked at what reached the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from doorward.cli.gateway_config import FORGED, IDENTITY, twins

# Wherever this reaches the service, a client has said something that only the gateway may say.
SPOOF = "doctor-spoof"
SMUGGLED = "/doctor-smuggled"
# A field whose value is broken by what some readers take for the end of a line.
BROKEN = "x-doctor"

Field = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Patient:
    """What is known of the gateway: a path that `key` opens for GET, and perhaps what it does not open."""

    authority: str
    path: str
    key: str = field(default="", repr=False)
    ended_key: str = field(default="", repr=False)
    denied: tuple[str, str] | None = None
    public: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    requests: tuple[bytes, ...] = field(repr=False)
    fix: str
    may_pass: bool = False
    needs_echo: bool = False


FIXES = {
    "open": "ask about every request, whatever its method, path or headers; refuse where nothing vouches for it",
    "identity": "remove every X-Auth-* header of the client, and those with _ for -, before Doorward's are set",
    "hop": "remove the client's Connection header before Doorward is asked and before the service is",
    "leak": "remove Authorization and X-API-Key from what goes to the service",
    "forged": "remove what only the gateway may say of a request (X-Forwarded-*, X-Original-*, X-HTTP-Method-Override)",
    "path": "hand the path on as it came, to Doorward and to the service alike, and match no paths in the gateway",
    "cache": "cache no answer of Doorward, or by credential, method and whole URI, for seconds",
    "check": "make the location that asks Doorward internal, and give /check/* no other way in",
    "framing": "refuse requests with two lengths or a broken framing",
    "trailer": "drop the trailers of a chunked body, or refuse such bodies",
    "upgrade": "let no protocol through but WebSocket, and ask about it like about any request",
    "trace": "refuse TRACE and CONNECT",
}  # fmt: skip


def request(patient: Patient, method: str = "GET", target: str | None = None, *fields: Field, body: str = "",
            version: str = "1.1", host: str | None = None) -> bytes:  # fmt: skip
    named = {name.lower() for name, _ in fields}
    all_fields = [("Host", host or patient.authority), *fields]
    if "connection" not in named:
        all_fields.append(("Connection", "close"))
    if body and "transfer-encoding" not in named and "content-length" not in named:
        all_fields.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in all_fields)
    return f"{method} {patient.path if target is None else target} HTTP/{version}\r\n{head}\r\n{body}".encode("latin-1")


def bearer(key: str) -> Field:
    return "Authorization", f"Bearer {key}"


def cases(patient: Patient) -> list[Case]:
    found = [*_without_credential(patient), *_methods(patient), *_lies(patient), *_paths(patient), *_odd(patient)]
    found += _direct(patient)
    if patient.key:
        found += [*_identity(patient), *_hops(patient), *_with_key(patient), *_known_paths(patient), *_cached(patient)]
    return found


def opening(patient: Patient) -> Case:
    """That the key opens its path has to be seen first, or the refusals after it would prove nothing."""
    return Case("a good credential", (request(patient, "GET", None, bearer(patient.key)),), FIXES["leak"], True)


FORGED_KEY = "dw_live_" + "0" * 50
UNSIGNED = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJkb2N0b3Itc3Bvb2YifQ."


def _without_credential(patient: Patient) -> Iterator[Case]:
    sent: tuple[tuple[str, Sequence[Field]], ...] = (
        ("no credential", ()),
        ("a forged key", (bearer(FORGED_KEY),)),
        ("a forged key as X-API-Key", (("X-API-Key", FORGED_KEY),)),
        ("an unsigned token", (bearer(UNSIGNED),)),
        ("an empty credential", (("Authorization", "Bearer "),)),
        ("a digest as credential", (bearer("sha256:" + "A" * 43),)),
        ("a malformed cookie", (("Cookie", "session=%%%;;;\x01"),)),
        ("a health check's User-Agent", (("User-Agent", "kube-probe/1.32 GoogleHC/1.0 ELB-HealthChecker/2.0"),)),
        ("a forged assertion alone", (("X-Auth-Assertion", UNSIGNED),)),
        ("a subject alone", (("X-Auth-Subject", SPOOF),)),
        ("If-None-Match", (("If-None-Match", "*"),)),
        ("Range", (("Range", "bytes=0-0"),)),
    )  # fmt: skip
    for name, fields in sent:
        yield Case(name, (request(patient, "GET", None, *fields),), FIXES["open"])
    if patient.ended_key:
        yield Case(
            "a credential that has ended", (request(patient, "GET", None, bearer(patient.ended_key)),), FIXES["open"]
        )


METHODS = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "DOCTOR", "get")


def _methods(patient: Patient) -> Iterator[Case]:
    for method in METHODS:
        yield Case(f"{method} without a credential", (request(patient, method),), FIXES["open"])
    fields = [bearer(patient.key)] if patient.key else []
    yield Case("TRACE", (request(patient, "TRACE", None, *fields),), FIXES["trace"])
    yield Case("CONNECT", (request(patient, "CONNECT", patient.authority, *fields),), FIXES["trace"])


def _lies(patient: Patient) -> Iterator[Case]:
    """Headers that have opened one gateway or another when their value was believed."""
    elsewhere = patient.public or "/"
    said = {
        "Method": "OPTIONS", "Uri": elsewhere, "URI": elsewhere, "URL": elsewhere, "Prefix": elsewhere,
        "Proto": "https", "Host": "localhost", "IP": "127.0.0.1", "For": "127.0.0.1", "Override": "OPTIONS",
    }  # fmt: skip
    for name in (*FORGED, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"):
        value = said.get(name.rpartition("-")[2], "for=127.0.0.1;host=localhost")
        for spelt in (name, name.replace("-", "_")):
            yield Case(f"{spelt}: {value}", (request(patient, "GET", None, (spelt, value)),), FIXES["forged"])


def _tricks(path: str, public: str) -> Iterator[tuple[str, str]]:
    """One path in other words."""
    rest = path.lstrip("/")
    first, last = rest[:1], rest[-1:]
    yield from (
        ("a doubled slash", "//" + rest),
        ("a dot segment", "/./" + rest), ("a dot segment inside", f"/doctor/../{rest}"),
        ("an encoded dot segment", f"/doctor/%2e%2e/{rest}"), ("half an encoded dot segment", f"/doctor/.%2e/{rest}"),
        ("an encoded slash", "/%2f" + rest), ("an encoded slash at the end", f"{path}%2f"),
        ("an encoded backslash", "/%5c" + rest), ("a backslash", "/\\" + rest),
        ("an encoded letter", f"/%{ord(first):02x}{rest[1:]}"),
        ("a twice encoded letter", f"/%25{ord(first):02x}{rest[1:]}"), ("a path parameter", f"{path};doctor=1"),
        ("a path parameter with dots", f"/doctor/..;/{rest}"), ("an encoded semicolon", f"{path}%3bdoctor"),
        ("an encoded question mark", f"{path}%3fdoctor"), ("an encoded hash", f"{path}%23doctor"),
        ("a fragment", f"{path}#doctor"),
        ("an encoded NUL", f"{path}%00.css"), ("a suffix of a static file", f"{path}/doctor.css"),
        ("a trailing dot", f"{path}."), ("a trailing space", f"{path}%20"),
        ("upper case", f"/{rest[:-1]}{last.upper()}"),
        ("overlong UTF-8", "/%c0%af" + rest), ("a wide slash", f"/%ef%bc%8f{rest}"),
        ("a broken encoding", f"{path}%zz"),
        ("a query that looks like a path", f"{path}?/../doctor.css"),
    )  # fmt: skip
    if public:
        yield from (
            ("out of a public path", f"{public}/../{rest}"),
            ("encoded, out of a public path", f"{public}/%2e%2e/{rest}"),
            ("by encoded slashes out of a public path", f"{public}%2f..%2f{rest}"),
            ("by a parameter out of a public path", f"{public}/..;/{rest}"),
            ("a public path in the query", f"{path}?{public}"),
        )  # fmt: skip


def _paths(patient: Patient) -> Iterator[Case]:
    for name, target in _tricks(patient.path, patient.public):
        yield Case(f"{name}, without a credential", (request(patient, "GET", target),), FIXES["path"])
    absolute = (f"https://{patient.authority}{patient.path}", f"http://127.0.0.1{patient.path}")
    for target in absolute:
        yield Case(f"an absolute URI, {target.partition(':')[0]}", (request(patient, "GET", target),), FIXES["path"])
    other = request(patient, "GET", None, host="localhost")
    yield Case("another Host", (other,), FIXES["open"])
    twice = request(patient, "GET", None, ("Host", "localhost"))
    yield Case("two Host headers", (twice,), FIXES["framing"])


def _known_paths(patient: Patient) -> Iterator[Case]:
    """With a good key they may pass, but the service must see the path that was decided on."""
    for name, target in _tricks(patient.path, patient.public):
        raw = request(patient, "GET", target, bearer(patient.key))
        yield Case(f"{name}, with the key", (raw,), FIXES["path"], may_pass=True, needs_echo=True)


WEBSOCKET = (
    ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "ZG9jdG9yLWRvY3Rvci1kbw=="),
)  # fmt: skip
H2C = (("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"))


def _odd(patient: Patient) -> Iterator[Case]:
    """Requests in a form that some reader treats otherwise."""
    inner = f"GET {SMUGGLED} HTTP/1.1\r\nHost: {patient.authority}\r\n\r\n"
    chunked = f"{len(inner):x}\r\n{inner}\r\n0\r\n\r\n"
    te: Field = ("Transfer-Encoding", "chunked")
    yield Case("HTTP/1.0", (request(patient, version="1.0"),), FIXES["open"])
    yield Case("a chunked body", (request(patient, "POST", None, te, body="1\r\nx\r\n0\r\n\r\n"),), FIXES["open"])
    yield Case("a WebSocket", (request(patient, "GET", None, *WEBSOCKET),), FIXES["upgrade"])
    yield Case("an upgrade to h2c", (request(patient, "GET", None, *H2C),), FIXES["upgrade"])
    both = request(patient, "POST", None, ("Content-Length", "4"), te, body=chunked)
    yield Case("two lengths", (both,), FIXES["framing"])
    two = request(patient, "POST", None, ("Content-Length", "0"), ("Content-Length", str(len(inner))), body=inner)
    yield Case("two Content-Lengths", (two,), FIXES["framing"])
    hidden = request(
        patient, "POST", None, ("Content-Length", str(len(inner))), ("Transfer-Encoding", "xchunked"), body=inner
    )
    yield Case("an unknown Transfer-Encoding", (hidden,), FIXES["framing"])


CHECKS = (
    "/check/nginx", "/check/forward", "/check/envoy/doctor", "/.doorward-check", "/_doorward_check", "/auth",
    "/oauth2/auth",
)  # fmt: skip


def _direct(patient: Patient) -> Iterator[Case]:
    """Whoever reaches the endpoint that answers gateways makes assertions of what he likes."""
    told = [("X-Original-Method", "GET"), ("X-Original-URL", f"https://{patient.authority}{patient.path}"),
            ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", patient.path)]  # fmt: skip
    fields = [*told, bearer(patient.key or FORGED_KEY)]
    for path in CHECKS:
        yield Case(f"a direct call of {path}", (request(patient, "GET", path, *fields),), FIXES["check"])


def _identity(patient: Patient) -> Iterator[Case]:
    for name in IDENTITY:
        for spelt in _spellings(name):
            fields = (bearer(patient.key), (spelt, SPOOF), (spelt, SPOOF))
            raw = request(patient, "GET", None, *fields)
            yield Case(f"{spelt} of the client", (raw,), FIXES["identity"], may_pass=True, needs_echo=True)
    for label, break_ in (("a folded line", "\r\n "), ("a bare LF", "\n"), ("a bare CR", "\r"), ("a NUL", "\x00")):
        raw = request(patient, "GET", None, bearer(patient.key), (BROKEN, f"1{break_}X-Auth-Subject: {SPOOF}"))
        yield Case(f"X-Auth-Subject behind {label}", (raw,), FIXES["identity"], may_pass=True, needs_echo=True)
    raw = request(patient, "GET", None, bearer(patient.key), ("X-Auth-Subject ", SPOOF))
    yield Case(
        "X-Auth-Subject with a space before its colon", (raw,), FIXES["identity"], may_pass=True, needs_echo=True
    )
    trailers = "".join(f"{spelt}: {SPOOF}\r\n" for spelt in _spellings("X-Auth-Subject"))
    raw = request(
        patient, "GET", None, bearer(patient.key), ("Transfer-Encoding", "chunked"), ("Trailer", "X-Auth-Subject"),
        body=f"1\r\nx\r\n0\r\n{trailers}\r\n",
    )  # fmt: skip
    yield Case("X-Auth-Subject behind the body", (raw,), FIXES["trailer"], may_pass=True, needs_echo=True)


def _spellings(name: str) -> list[str]:
    return [*twins(name), name.lower(), name.upper().replace("-", "_")]


NAMED = (
    "X-Auth-Subject", "X-Auth-Assertion, X-Auth-Account, X-Auth-Key-Id", "Authorization", "X-API-Key", "Host",
    "X-Forwarded-Uri, X-Forwarded-Method", "X-Original-URL, X-Original-Method", "X-Check-Secret",
)  # fmt: skip


def _hops(patient: Patient) -> Iterator[Case]:
    for names in NAMED:
        for spelt in ("close, {}", "keep-alive, {}"):
            raw = request(patient, "GET", None, bearer(patient.key), ("Connection", spelt.format(names)))
            yield Case(f"Connection: {spelt.format(names)}", (raw,), FIXES["hop"], may_pass=True, needs_echo=True)


def _with_key(patient: Patient) -> Iterator[Case]:
    good = bearer(patient.key)
    twice: tuple[tuple[str, Sequence[Field]], ...] = (
        ("two credentials, good first", (good, bearer(FORGED_KEY))),
        ("two credentials, good last", (bearer(FORGED_KEY), good)),
        ("the same credential twice", (good, good)),
        ("Authorization and X-API-Key", (good, ("X-API-Key", FORGED_KEY))),
        ("two X-API-Keys", (("X-API-Key", patient.key), ("X-API-Key", FORGED_KEY))),
    )  # fmt: skip
    for name, fields in twice:
        yield Case(name, (request(patient, "GET", None, *fields),), FIXES["open"])
    leaks: tuple[tuple[str, bytes], ...] = (
        ("X-API-Key", request(patient, "GET", None, ("X-API-Key", patient.key))),
        ("authorization in lower case", request(patient, "GET", None, ("authorization", f"bearer {patient.key}"))),
        ("HTTP/1.0 with the key", request(patient, "GET", None, good, version="1.0")),
        ("a WebSocket with the key", request(patient, "GET", None, good, *WEBSOCKET)),
        ("an upgrade to h2c with the key", request(patient, "GET", None, good, *H2C)),
        ("Proxy-Authorization beside it", request(patient, "GET", None, good, ("Proxy-Authorization", good[1]))),
        ("X_API_Key beside it", request(patient, "GET", None, good, ("X_API_Key", patient.key))),
        ("the key in the URL too", request(patient, "GET", f"{patient.path}?api_key={patient.key}", good)),
    )  # fmt: skip
    for name, raw in leaks:
        yield Case(name, (raw,), FIXES["leak"], may_pass=True, needs_echo=True)
    for name in FORGED:
        raw = request(patient, "GET", None, good, (name, SPOOF), (name.replace("-", "_"), SPOOF))
        yield Case(f"{name} of a good caller", (raw,), FIXES["forged"], may_pass=True, needs_echo=True)


def _cached(patient: Patient) -> Iterator[Case]:
    """The last request of each is the one that counts: those before it were answered well."""
    good = request(patient, "GET", None, bearer(patient.key))
    yield Case("no credential, after a good one", (good, request(patient)), FIXES["cache"])
    yield Case(
        "a forged key, after a good one", (good, request(patient, "GET", None, bearer(FORGED_KEY))), FIXES["cache"]
    )
    elsewhere = request(patient, "GET", f"{patient.path}?doctor=2", bearer(patient.key))
    first = request(patient, "GET", f"{patient.path}?doctor=1", bearer(patient.key))
    yield Case("another URI, after a good one", (first, elsewhere), FIXES["cache"], may_pass=True, needs_echo=True)
    if patient.denied is not None:
        method, path = patient.denied
        raw = request(patient, method, path, bearer(patient.key))
        yield Case(f"{method} {path}, which the key does not open", (good, raw), FIXES["cache"])
        for name in ("X-HTTP-Method-Override", "X-Original-Method", "X-Forwarded-Method"):
            raw = request(patient, method, path, bearer(patient.key), (name, "GET"))
            yield Case(f"{method} {path} as {name}: GET", (raw,), FIXES["forged"])
