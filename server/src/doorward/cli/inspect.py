"""`doorward inspect CREDENTIAL`: what it is, whether it is whole and until when it lives. It is sent nowhere.

A JWT's signature is checked with the keys of the local data directory, when that is there; no other issuer is asked.
"""

from __future__ import annotations

import json as jsonlib
import re
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from doorward.cli import admin_api, credential_input, output
from doorward.cli.admin_api import Object, local_settings, refusals_told
from doorward.cli.durations import full
from doorward.cli.failure import Failure
from doorward.cli.options import Json, verb
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.settings import Settings
    from doorward_verify.jwt import Keys

KINDS = {
    "": "API key", "a": "admin key", "s": "client or verifier secret", "r": "refresh token",
    "o": "opaque access token", "g": "registration access token",
}  # fmt: skip
# What a refusal tells of the signature; every other one comes after it was found good.
SIGNATURES = {
    "signature_invalid": "bad",
    "signing_key_unknown": "not checked",
    "token_malformed": "not checked",
    "token_type_wrong": "not checked",
}
TIMES = ("iat", "nbf", "exp", "auth_time")
_SECRET = re.compile(r"([a-z][a-z0-9]{1,16})_(live|test)_([0-9A-Za-z]*)")
_BODY_LENGTH = 50


def inspect(
    context: typer.Context,
    credential: Annotated[
        str,
        typer.Argument(
            metavar="CREDENTIAL|-|@FILE", help="A key, secret or token; - reads standard input, @FILE a file."
        ),
    ],
    json: Json = False,
) -> None:
    """Say what a key, secret or token is. It is sent nowhere."""
    from doorward_verify.api_key import strip_uri_scheme

    text = strip_uri_scheme(credential_input.read(credential, "credential"))
    flags = context.find_root().params
    chosen = Local(flags["data_dir"], flags["config"])
    with refusals_told():
        settings = local_settings(chosen)
    found = _jwt(text, settings, chosen) if text.count(".") == 2 else _secret(text, settings.brand)
    if json:
        output.show_json(found)
    else:
        _show(found)
    if not found["well_formed"]:
        raise typer.Exit(1)


def _secret(text: str, own_brand: str) -> Object:
    """A secret of ours or of another brand; what is nearly one is told what it lacks."""
    form = _SECRET.fullmatch(text)
    if form is None:
        return _unknown(_why_unknown(text))
    head, environment, body = form.groups()
    if len(body) != _BODY_LENGTH:
        return _unknown(f"it begins like a key, but {len(body)} characters follow instead of {_BODY_LENGTH}")
    brand = own_brand if head.startswith(own_brand) and head[len(own_brand) :] in KINDS else head
    kind = KINDS[head[len(brand) :]]
    note = "" if brand == own_brand else f"the brand here is {own_brand}; of another, the kind is a guess"
    good = _checksum_holds(text, brand)
    if not good:
        note = "the checksum does not fit: it was mistyped, or changed on its way"
    return {
        "kind": kind, "well_formed": good, "brand": brand, "environment": environment, "id": body[:12],
        "checksum": "good" if good else "bad", "note": note or None,
    }  # fmt: skip


def _checksum_holds(text: str, brand: str) -> bool:
    from doorward_verify.api_key import MalformedCredential, parse

    try:
        parse(text, brand)
    except MalformedCredential:
        return False
    return True


def _why_unknown(text: str) -> str:
    if text.startswith("req_"):
        return "it looks like a request id: doorward explain tells about those"
    return "it is neither a key of Doorward's format nor a JWT"


def _unknown(note: str) -> Object:
    return {"kind": "unknown", "well_formed": False, "note": note}


def _jwt(text: str, settings: Settings, chosen: Local) -> Object:
    header, claims = (_loose(part) for part in text.split(".")[:2])
    if header is None or claims is None:
        return _unknown("it has three parts as a JWT has, but they hold no JSON objects")
    expires_at = claims.get("exp")
    return {
        "kind": "JWT", "header": header, "claims": claims,
        "expires_at": expires_at if type(expires_at) is int else None,
        **_verdict(text, claims, settings, _local_keys(settings, chosen)),
    }  # fmt: skip


def _loose(part: str) -> dict[str, Any] | None:
    """For people's eyes only: also what no verifier would read."""
    import base64

    try:
        value = jsonlib.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _verdict(text: str, claims: dict[str, Any], settings: Settings, keys: Keys | None) -> Object:
    """What a verifier of the token's own audience would say; revocation is the server's to tell."""
    from doorward.protocol.reasons import REASONS
    from doorward_verify import access_token
    from doorward_verify.errors import InvalidToken

    note = "no data directory with signing keys is here; --data-dir names one" if keys is None else None
    audience = claims.get("aud")
    first = audience[0] if isinstance(audience, list) and audience else audience
    try:
        access_token.verify(text, keys or {}, issuer=settings.issuer, audience=str(first), now=time.time())
    except InvalidToken as refused:
        unchecked = keys is None and refused.reason == "signing_key_unknown"
        return {
            "well_formed": refused.reason != "token_malformed",
            "signature": SIGNATURES.get(refused.reason, "good"),
            "verdict": None if unchecked else f"refuses it: {REASONS[refused.reason].sentence}",
            "note": note,
        }
    return {"well_formed": True, "signature": "good", "verdict": "accepts it, unless it was revoked", "note": None}


def _local_keys(settings: Settings, chosen: Local) -> Keys | None:
    """None where there is no data directory, or none that was ever used."""
    import asyncio

    from doorward.data_directory import database_path
    from doorward_verify.jwt import keys_from_jwks

    file = database_path(settings.database)
    if not settings.data_dir.is_dir() or (file is not None and not file.is_file()):
        return None

    async def ask() -> list[Object]:
        async with admin_api.connect(chosen) as api:
            keys, _ = await api.every("/signing-keys", 1000)
            return keys

    try:
        return keys_from_jwks({"keys": [key["public_jwk"] for key in asyncio.run(ask())]})
    except Failure:
        return None


def _show(found: Object) -> None:
    article = "An" if found["kind"][:1] in "Aao" else "A"
    unknown = found["kind"] == "unknown"
    output.heading("Not a credential that Doorward knows" if unknown else f"{article} {found['kind']}")
    output.fields(
        (
            ("brand", found.get("brand")),
            ("environment", found.get("environment")),
            ("id", found.get("id")),
            ("checksum", found.get("checksum")),
            ("header", _members(found.get("header"))),
            ("claims", _members(found.get("claims"))),
            ("expires", full(found["expires_at"], absent="it names no time") if "claims" in found else None),
            ("signature", found.get("signature")),
            ("a verifier", found.get("verdict")),
            ("note", found.get("note")),
        )
    )
    if found.get("checksum") == "good":
        output.say("\nWhether it is known, expired or revoked, only the server can tell.")


def _members(value: dict[str, Any] | None) -> list[str]:
    if not value:
        return []
    width = max(len(name) for name in value)
    return [f"{name.ljust(width)}  {_member(name, member)}" for name, member in value.items()]


def _member(name: str, value: object) -> str:
    if name in TIMES and type(value) is int and 0 <= value < 2**40:
        return f"{value}  {full(value)}"
    return value if isinstance(value, str) else jsonlib.dumps(value)


app = verb(inspect, "doorward inspect - < token.txt\ndoorward inspect @key.txt --json")
