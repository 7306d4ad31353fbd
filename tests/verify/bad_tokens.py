"""Tokens that must be refused, by the classes of T070, and tokens that must not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.verify.issuing import (
    AUDIENCE,
    ISSUER,
    NOW,
    SigningKey,
    claims,
    dumps,
    ec_key,
    header,
    hmac_signed,
    rsa_key,
    signed,
    token,
    with_signature,
)

from doorward_verify import jwt

ORDER = int.from_bytes(jwt.ES256._order, "big")


def good() -> dict[str, str]:
    """The controls: a verifier that refuses them proves nothing by refusing the others."""
    key = ec_key()
    deep = json.loads("[" * 14 + "1" + "]" * 14)
    return {
        "plain": token(),
        "RS256": token(rsa_key()),
        "application/at+jwt": token(head={"typ": "application/at+jwt"}),
        "an unknown harmless header member": token(head={"x-trace": {"a": [1]}}),
        "a certificate thumbprint in the header": token(head={"x5t#S256": "abc"}),
        "audience as a list": token(aud=["https://other.example.com", AUDIENCE]),
        "without nbf and scope": token(scope=...),
        "an empty scope": token(scope=""),
        "nbf in the past": token(nbf=NOW - 1),
        "expired within the leeway": token(exp=NOW - 9),
        "issued within the leeway": token(iat=NOW + 10),
        "without our own claims": token(account=..., grant_id=...),
        "an actor": token(act={"sub": "client_2"}),
        "text beyond ASCII": token(name="Žofie \U0001f600"),
        "escaped text beyond ASCII": signed(key, dumps(header(key)), json.dumps(claims(name="\U0001f600é")).encode()),
        "whitespace": signed(key, dumps(header(key)), json.dumps(claims(), indent=2).encode() + b"\r\n\t "),
        "numbers of other claims": token(ratio=1.5, small=1e-9, most=2**53, least=-(2**53)),
        "16 levels": token(nest={"a": deep}),
        "brackets within text": token(note='[{"' * 40),
        "the largest signature numbers": token(jti="a"),
        "12 KiB": token(note="x" * 8_000),
    }


def bad() -> dict[str, dict[str, str]]:
    return {
        "algorithm none": dict(_none()),
        "key and algorithm confusion": dict(_confusion()),
        "psychic and misshapen signatures": dict(_signatures()),
        "duplicate members": dict(_duplicates()),
        "crit": {str(value): token(head={"crit": value}) for value in (["exp"], ["b64"], ["typ"], [], None, "exp", 1)},
        "typ": dict(_types()),
        "keys in the header": dict(_header_keys()),
        "kid": dict(_kids()),
        "form": dict(_forms()),
        "encodings": dict(_encodings()),
        "times": dict(_times()),
        "issuer": _claim("iss", "https://auth.example.com/", "https://auth.example.co", "HTTPS://auth.example.com", "",
                         [ISSUER], {"iss": ISSUER}, None, 1, True, "auth", f"{ISSUER}.evil.example", ...),
        "audience": _claim("aud", "https://api.example.com/", "https://api.example.co", "https://API.example.com", "",
                           [], ["https://other.example.com"], [AUDIENCE, 1], [[AUDIENCE]], {AUDIENCE: 1}, None, 1,
                           True, "api", ...),
        "scope": _claim("scope", ["invoices:read"], {"a": 1}, None, 1, True, " a", "a ", "a  b", "a\tb", "a\nb",
                        'a"b', "a\\b", "a\u00a0b", "a\x00b", "\u017eofie", "a" * 4097),
        "client": _claim("client_id", None, "", 1, True, ["client_8sK2"], {"id": 1}, "a\nb", "a\x00", ...),
        "subject": _claim("sub", None, "", 1, True, ["client_8sK2"], {}, "a\r\nSet-Cookie: a", "\u202e", ...),
        "token id": _claim("jti", None, "", 1, ["a"], ...),
        "our own claims": {**_claim("account", 1, "", ["acme"], "a\nb"), **_claim("grant_id", 1, "", {}),
                           **_claim("act", "client", 1, [], True)},
        "bound tokens": _claim("cnf", {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, {"x5t#S256": "a"},
                               {"new": 1}, {}, None, "jkt", []),
        "size and depth": dict(_bombs()),
        "JWE": dict(_encrypted()),
        "JSON": dict(_json()),
        "tampering": dict(_tampered()),
    }  # fmt: skip


def _claim(name: str, *values: Any) -> dict[str, str]:
    return {f"{name}={'missing' if value is ... else repr(value)[:60]}": token(**{name: value}) for value in values}


def _none() -> Iterator[tuple[str, str]]:
    for alg in ("none", "None", "NONE", "nOnE", "", "null"):
        plain = token(head={"alg": alg})
        yield f"{alg!r} with a signature", plain
        yield f"{alg!r} with an empty one", plain.rpartition(".")[0] + "."
        yield f"{alg!r} with nothing", plain.rpartition(".")[0]
    for odd in (None, 1, ["ES256"], {"alg": "ES256"}, True, ...):
        yield f"alg={odd!r}", token(head={"alg": odd})


def _confusion() -> Iterator[tuple[str, str]]:
    for key in (ec_key(), rsa_key()):
        public = key.private.public_key()
        der, pem = serialization.Encoding.DER, serialization.Encoding.PEM
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        secrets = {
            "PEM": public.public_bytes(pem, spki),
            "DER": public.public_bytes(der, spki),
            "JWK": dumps(key.jwk),
            "x or n": jwt.b64url_decode(key.jwk.get("x") or key.jwk["n"]),
            "nothing": b"",
        }
        for what, secret in secrets.items():
            yield (
                f"HS256 with the {what} of {key.kid}",
                hmac_signed(secret, dumps(header(key, alg="HS256")), dumps(claims())),
            )
        for alg in ("ES256", "RS256", "ES384", "ES512", "ES256K", "PS256", "RS512", "EdDSA", "es256", "ES256 ", "RS1"):
            if alg != key.alg:
                yield f"{alg} by {key.kid}", token(key, {"alg": alg})
    yield "the other key's kid", token(ec_key(), {"kid": rsa_key().kid})
    yield "the other key's kid and algorithm", token(ec_key(), {"kid": rsa_key().kid, "alg": "RS256"})
    yield "a stranger's key under our kid", token(SigningKey("ec-1", ec_key("stranger").private))
    yield "a larger curve under our kid", token(SigningKey("ec-1", ec.generate_private_key(ec.SECP384R1())))


def _signatures() -> Iterator[tuple[str, str]]:
    plain = token()
    signing_input = plain.rpartition(".")[0].encode()
    real = ec_key().sign(signing_input)
    r, s = int.from_bytes(real[:32], "big"), int.from_bytes(real[32:], "big")
    for a in (0, 1, r, ORDER, ORDER - 1, ORDER + 1, 2**256 - 1):
        for b in (0, 1, ORDER, ORDER - 1, 2**256 - 1):
            yield f"r={a:x} s={b:x}", with_signature(plain, a.to_bytes(32, "big") + b.to_bytes(32, "big"))
    private = ec_key().private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    yield "DER", with_signature(plain, private.sign(signing_input, ec.ECDSA(hashes.SHA256())))
    yield "swapped", with_signature(plain, real[32:] + real[:32])
    yield "negated r", with_signature(plain, (ORDER - r).to_bytes(32, "big") + s.to_bytes(32, "big"))
    for size in (1, 31, 32, 63):
        yield f"{size} bytes", with_signature(plain, real[:size])
    yield "65 bytes", with_signature(plain, real + b"\0")
    yield "a zero byte between the numbers", with_signature(plain, real[:32] + b"\0" + real[32:])
    yield "a zero byte before each number", with_signature(plain, b"\0" + real[:32] + b"\0" + real[32:])
    yield "twice", with_signature(plain, real + real)
    rs256 = token(rsa_key())
    for size in (1, 64, 255):
        yield f"RS256 of {size} bytes", with_signature(rs256, jwt.parse(rs256).signature[:size])
    yield "RS256 with a byte more", with_signature(rs256, b"\0" + jwt.parse(rs256).signature)
    yield "RS256 of zeros", with_signature(rs256, bytes(256))


def _duplicates() -> Iterator[tuple[str, str]]:
    key = ec_key()
    head, body = dumps(header(key)), dumps(claims())
    for what, more in {
        "alg": b'"alg":"none",', "kid": b'"kid":"other",', "typ": b'"typ":"JWT",', "the same alg": b'"alg":"ES256",',
    }.items():  # fmt: skip
        yield f"header {what}", signed(key, b"{" + more + head[1:], body)
    for what, more in {
        "sub": b'"sub":"admin",', "exp": b'"exp":9999999999,', "aud": b'"aud":[],', "the same iss": b'"iss":"https://auth.example.com",',
        "escaped sub": b'"\\u0073ub":"admin",', "within act": b'"act":{"sub":"a","sub":"b"},',
        "within a list": b'"x":[{"a":1,"a":1}],',
    }.items():  # fmt: skip
        yield f"claim {what}", signed(key, head, b"{" + more + body[1:])


def _types() -> Iterator[tuple[str, str]]:
    kinds = (
        "JWT", "jwt", "at+JWT", "AT+JWT", "application/AT+jwt", "APPLICATION/at+jwt", "at+jwt ", " at+jwt",
        "at+jwt;v=1", "at", "application/jwt", "id+jwt", "logout+jwt", "statuslist+jwt", "token-introspection+jwt",
        "dpop+jwt", "client-authentication+jwt", "oauth-authz-req+jwt", "secevent+jwt", "JOSE", "", "text/at+jwt",
    )  # fmt: skip
    for typ in (*kinds, ..., None, 1, True, ["at+jwt"], {"typ": "at+jwt"}):
        yield f"typ={typ!r}", token(head={"typ": typ})


def _header_keys() -> Iterator[tuple[str, str]]:
    thief = ec_key("thief")
    members = {
        "jwk": thief.jwk, "jku": "https://thief.example/jwks.json", "x5u": "https://thief.example/cert.pem",
        "x5c": ["MIIB"], "b64": False, "zip": "DEF", "enc": "A256GCM",
    }  # fmt: skip
    for name, value in members.items():
        yield f"{name}, signed by a thief", token(thief, {name: value})
        yield f"{name} and our kid, signed by a thief", token(thief, {name: value, "kid": "ec-1"})
        yield f"{name}, signed by us", token(head={name: value})
        yield f"{name}: null", token(head={name: None})
    yield "b64: true", token(head={"b64": True})


def _kids() -> Iterator[tuple[str, str]]:
    kinds = (
        "", "other", "EC-1", "ec-1 ", "ec-1\x00", "../../dev/null", "' OR 1=1 --", "https://thief.example/k",
        "a" * 3000, "a" * 9000, None, 1, True, ["ec-1"], {"kid": "ec-1"}, ...,
    )  # fmt: skip
    for kid in kinds:
        yield f"kid={repr(kid)[:40]}", token(head={"kid": kid})


def _forms() -> Iterator[tuple[str, str]]:
    plain = token()
    head, body, signature = plain.split(".")
    yield from {
        "empty": "", "dots": "..", "one part": head, "two parts": f"{head}.{body}",
        "four parts": f"{plain}.{signature}",
        "no header": f".{body}.{signature}", "no claims": f"{head}..{signature}", "no signature": f"{head}.{body}.",
        "leading dot": f".{plain}", "trailing dot": f"{plain}.", "twice": f"{plain}{plain}",
        "wide dots": plain.replace(".", "\uff0e"), "a soft hyphen": f"{head}.{body}\u00ad.{signature}",
        "a NUL": f"{plain}\x00", "a surrogate": f"{head}.{body}.{signature}\ud800",
        "JSON serialisation": json.dumps({"protected": head, "payload": body, "signature": signature}),
    }.items()  # fmt: skip
    for place, parts in {
        "header": "{0}{1}.{2}.{3}", "claims": "{1}.{2}{0}.{3}", "signature": "{1}.{2}.{3}{0}",
    }.items():  # fmt: skip
        for junk in ("=", "==", " ", "\n", "\r\n", "\t", "+", "/", "%3D", "A", "\x00", "é"):
            yield f"{junk!r} in the {place}", parts.format(junk, head, body, signature)
    # 86 characters carry 516 bits, 4 more than a signature has: 15 other spellings of the same bytes.
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for step in range(1, 16):
        other = last[last.index(signature[-1]) // 16 * 16 + step]
        yield f"signature not canonical by {step}", f"{head}.{body}.{signature[:-1]}{other}"
    key = ec_key()
    for size in (1, 2):
        spaced = dumps(header(key)) + b" " * ((size - len(dumps(header(key)))) % 3)
        text = jwt.b64url_encode(spaced)
        odd = f"{text[:-1]}{last[last.index(text[-1]) + 1]}.{body}"
        yield f"header not canonical after {size}", f"{odd}.{jwt.b64url_encode(key.sign(odd.encode()))}"


def _encodings() -> Iterator[tuple[str, str]]:
    key = ec_key()
    head, body = dumps(header(key)).decode(), dumps(claims(name="é")).decode()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"):
        yield f"header in {encoding}", signed(key, head.encode(encoding), body.encode())
        yield f"claims in {encoding}", signed(key, head.encode(), body.encode(encoding))
    broken = {
        "latin-1": "é".encode("latin-1"), "an overlong A": b"\xc1\x81", "a raw surrogate": b"\xed\xa0\x80",
        "a cut sequence": b"\xe2\x82", "beyond Unicode": b"\xf5\x80\x80\x80", "a byte order mark within": b"\xff\xfe",
    }  # fmt: skip
    for what, raw in broken.items():
        yield f"claims with {what}", signed(key, head.encode(), dumps(claims(name="?")).replace(b"?", raw))
        yield f"header with {what}", signed(key, dumps(header(key, x="?")).replace(b"?", raw), body.encode())
    for half in ("\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc00\\ud800"):
        yield f"claims with {half}", signed(key, head.encode(), dumps(claims(name="?")).replace(b"?", half.encode()))
        yield f"a name {half}", signed(key, head.encode(), b'{"' + half.encode() + b'":1,' + body.encode()[1:])


def _times() -> Iterator[tuple[str, str]]:
    key = ec_key()
    raw = (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        str(2**53 + 1),
        "9" * 400,
        "9" * 5000,
        "0x7fffffff",
        "1_000",
    )
    for name in ("exp", "iat", "nbf"):
        for value in raw:
            text = dumps(claims(**{name: "?"})).replace(b'"?"', value.encode())
            yield f"{name}={value[:20]}", signed(key, dumps(header(key)), text)
        odd: Any
        for odd in (True, False, None, str(NOW), "", [NOW], {"at": NOW}, NOW + 0.5, 1e10, float(NOW)):
            yield f"{name}={odd!r}", token(**{name: odd})
    yield from {
        "no exp": token(exp=...), "no iat": token(iat=...), "expired": token(exp=NOW - 10),
        "long expired": token(exp=0),
        "negative exp": token(exp=-1), "not yet": token(nbf=NOW + 11), "issued in the future": token(iat=NOW + 11),
    }.items()  # fmt: skip


def _bombs() -> Iterator[tuple[str, str]]:
    key = ec_key()
    head = dumps(header(key))
    yield "over 16 KiB", token(note="x" * 16_000)
    yield "1 MiB", token(note="x" * 2**20)
    yield "a header over 4 KiB", token(head={"x": "y" * 4_000})
    for levels in (17, 100, 1_000, 5_000):
        for first, last in ("[]", ('{"a":', "}")):
            nest = (first * levels + "1" + last * levels).encode()
            yield f"{levels} levels of {first}", signed(key, head, dumps(claims(n="?")).replace(b'"?"', nest))
            yield (
                f"{levels} levels of {first} in the header",
                signed(key, dumps(header(key, n="?")).replace(b'"?"', nest), dumps(claims())),
            )
    yield "unclosed levels", signed(key, head, b'{"a":' * 2_000)
    yield "only brackets", signed(key, b"[" * 3_000, b"{}")
    yield "an endless number", signed(key, head, b'{"n":' + b"1" * 11_000 + b"}")
    yield "quotes", signed(key, head, b'"' * 11_000)
    yield "backslashes", signed(key, head, b'{"a":"' + b"\\" * 11_001)


def _encrypted() -> Iterator[tuple[str, str]]:
    part = jwt.b64url_encode(b"0123456789abcdef")
    for alg in ("RSA-OAEP", "dir", "ECDH-ES", "PBES2-HS256+A128KW", "RSA1_5"):
        head = jwt.b64url_encode(dumps({"alg": alg, "enc": "A256GCM", "typ": "at+jwt", "kid": "ec-1", "p2c": 2**31}))
        yield f"{alg} in five parts", f"{head}.{part}.{part}.{part}.{part}"
        yield f"{alg} in three parts", f"{head}.{part}.{part}"
    yield "a nested JWT", signed(ec_key(), dumps(header(ec_key(), cty="JWT")), token().encode())


def _json() -> Iterator[tuple[str, str]]:
    key = ec_key()
    head, body = dumps(header(key)), dumps(claims())
    texts = {
        "nothing": b" ", "null": b"null", "a list": b"[" + body + b"]", "a text": b'"a"', "a number": b"1",
        "two objects": body + body, "an object and junk": body + b"x", "a comment": body + b"//", "a NUL": body + b"\0",
        "a trailing comma": body[:-1] + b",}", "no quotes": b"{a:1}", "single quotes": body.replace(b'"', b"'"),
        "a raw line break": b'{"x":"a\nb",' + body[1:], "a raw control": b'{"x":"\x01",' + body[1:],
        "a leading zero": b'{"x":01,' + body[1:], "a plus": b'{"x":+1,' + body[1:], "a dot": b'{"x":1.,' + body[1:],
        "a bad escape": b'{"x":"\\x41",' + body[1:], "an unclosed text": b'{"x":"', "no value": b'{"x":}',
        "True": b'{"x":True,' + body[1:], "a form feed": b"\x0c" + body, "a wide space": "\u3000".encode() + body,
    }  # fmt: skip
    for what, text in texts.items():
        yield f"claims: {what}", signed(key, head, text)
    for what, text in texts.items():
        yield f"header: {what}", signed(key, text.replace(body, head).replace(body[1:], head[1:]), body)


def _tampered() -> Iterator[tuple[str, str]]:
    head, body, signature = token().split(".")
    more = jwt.b64url_encode(dumps(claims(scope="invoices:read invoices:write")))
    yield "more scope", f"{head}.{more}.{signature}"
    yield "another token's signature", f"{head}.{body}.{token(jti='other').rpartition('.')[2]}"
    yield "another header", f"{jwt.b64url_encode(dumps({**header(ec_key()), 'x': 1}))}.{body}.{signature}"
    yield "header and claims exchanged", f"{body}.{head}.{signature}"
