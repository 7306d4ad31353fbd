"""Gateways: their own checks of a JWT, which nothing can revoke, and what asking about every request costs."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from doorward_server import Doorward, audience
from load import Request
from processes import Child, free_port

from doorward_verify import jwt
from peers import gateway_configs as configs
from peers.running import PYTHON, Contender, Kind, Peer, ask, program, serving
from peers.workloads import CONSTANT, FOR_GATEWAY, HAPROXY, OURS, THROUGH

ENVOY = PYTHON.with_name("envoy")
ANSWERS = {"nginx": "GIF89a"}
Words = list[str | Path]


@dataclass(frozen=True)
class Key:
    """Which key signs an api's tokens now, in every form that somebody wants."""

    alg: str
    issuer: str
    jwk: dict[str, Any]

    @classmethod
    def of(cls, doorward: Doorward, alg: str) -> Key:
        kid = json.loads(jwt.b64url_decode(doorward.token(alg).partition(".")[0]))["kid"]
        keys = json.loads(ask(f"{doorward.url}/.well-known/jwks.json")[0])["keys"]
        return cls(alg, doorward.url, next(key for key in keys if key["kid"] == kid))

    def encoded(self, encoding: Encoding) -> bytes:
        numbers = {
            name: int.from_bytes(jwt.b64url_decode(self.jwk[name]), "big") for name in "xyne" if name in self.jwk
        }
        public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
        if self.alg == "ES256":
            public = ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], ec.SECP256R1()).public_key()
        else:
            public = rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
        return public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)


def haproxy(key: Key, port: int, place: Path) -> Words:
    pem, file = place / "key.pem", place / "haproxy.cfg"
    pem.write_bytes(key.encoded(Encoding.PEM))
    file.write_text(configs.haproxy(port, key.alg, pem, key.issuer, audience(key.alg)))
    return [program("haproxy") or "", "-db", "-f", file]


def envoy(key: Key, port: int, place: Path, cached: bool = False) -> Words:
    jwks = json.dumps({"keys": [key.jwk]})
    return _envoy(place, configs.envoy_jwt(port, jwks, key.issuer, audience(key.alg), cached))


def njs(key: Key, port: int, place: Path) -> Words:
    spki = base64.b64encode(key.encoded(Encoding.DER)).decode()
    told = {"alg": key.alg, "issuer": key.issuer, "audience": audience(key.alg), "spki": spki}
    script = Path(__file__).with_name("served") / "verify.js"
    (place / "verify.js").write_text(f"const told = {json.dumps(told)};\n{script.read_text()}")
    return _nginx(place, configs.nginx_js(port, place))


def _envoy(place: Path, config: str) -> Words:
    (place / "envoy.json").write_text(config)
    return [ENVOY, "-c", place / "envoy.json", "--disable-hot-restart", "--concurrency", "1", "-l", "error"]


def _nginx(place: Path, config: str) -> Words:
    (place / "nginx.conf").write_text(config)
    return [program("nginx") or "", "-e", "stderr", "-p", place, "-c", place / "nginx.conf"]


def _caddy(place: Path, config: str) -> Words:
    (place / "Caddyfile").write_text(config)
    return [program("caddy") or "", "run", "--adapter", "caddyfile", "--config", place / "Caddyfile"]


def nginx_asking(port: int, checker: int, place: Path) -> Words:
    return _nginx(place, configs.nginx_asking(port, checker, place))


def envoy_asking(port: int, checker: int, place: Path) -> Words:
    return _envoy(place, configs.envoy_asking(port, checker))


def caddy_asking(port: int, checker: int, place: Path) -> Words:
    return _caddy(place, configs.caddy_asking(port, checker))


Verifying = Callable[[Key, int, Path], Words]
VERIFIERS: dict[str, tuple[str, Verifying]] = {
    HAPROXY: ("haproxy", haproxy),
    "Envoy jwt_authn": ("envoy", envoy),
    "Envoy jwt_authn, with its cache": ("envoy", functools.partial(envoy, cached=True)),
    "nginx with njs": ("njs", njs),
}
ASKING: dict[str, Callable[[int, int, Path], Words]] = {
    "nginx": nginx_asking, "caddy": caddy_asking, "envoy": envoy_asking,
}  # fmt: skip


def is_there(name: str) -> bool:
    if name == "njs":
        return bool(program("nginx")) and Path(configs.MODULE).exists()
    return ENVOY.exists() if name == "envoy" else bool(program(name))


@contextlib.contextmanager
def contenders(doorward: Doorward, place: Path) -> Generator[list[Contender]]:
    absent = [name for name in ("haproxy", "nginx", "njs", "caddy", "envoy") if not is_there(name)]
    if absent:
        print(f"\nLEFT OUT, since they are not installed: {', '.join(absent)}", file=sys.stderr)
    with contextlib.ExitStack() as stack:
        found = []
        for workload, alg in FOR_GATEWAY.items():
            key = Key.of(doorward, alg)
            for who, (name, make) in VERIFIERS.items():
                folder, port = _folder(place, f"{who} {alg}"), free_port()
                if is_there(name):
                    child = stack.enter_context(serving(make(key, port, folder), port, folder, _home(folder)))
                    request = functools.partial(_verified, doorward, child, port, alg, who)
                    found.append(Contender(who, workload, request))
        yield [*found, *_asking(doorward, place, stack)]


def _folder(place: Path, name: str) -> Path:
    folder = place / name.replace(" ", "-").replace(",", "")
    folder.mkdir()
    return folder


def _home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "TMPDIR": str(folder)}


def _verified(doorward: Doorward, child: Child, port: int, alg: str, who: str) -> Request:
    token = doorward.token(alg)
    request = _through(child, port, who, "GIF89a" if "nginx" in who else "ok", token)
    if not refuses(request, f"{token[:-9]}{'A' if token[-9] != 'A' else 'B'}{token[-8:]}"):
        raise SystemExit(f"{who} took a token whose signature was changed")
    return request


def _through(child: Child, port: int, who: str, member: str, credential: str) -> Request:
    url = f"http://127.0.0.1:{port}/ES256/7"
    return Request(who, child, url, member, method="GET", authorization=f"Bearer {credential}")


def refuses(request: Request, credential: str) -> bool:
    try:
        ask(request.url, authorization=f"Bearer {credential}")
    except HTTPError as refusal:
        return refusal.code in (401, 403)
    return False


def _asking(doorward: Doorward, place: Path, stack: contextlib.ExitStack) -> Generator[Contender]:
    """Through each gateway: Doorward's answer and one that is always the same, on one core with the gateway."""
    if not is_there("nginx"):
        return
    folder, port = _folder(place, "constant"), free_port()
    constant = stack.enter_context(serving(_nginx(folder, configs.constant(port, folder)), port, folder))
    ours = int(doorward.check_url.rpartition(":")[2])
    for name, make in ASKING.items():
        for who, checker, asked in ((OURS, ours, doorward.child), (CONSTANT, port, constant)):
            if is_there(name):
                folder, listen = _folder(place, f"{name} {who}"), free_port()
                words = make(listen, checker, folder)
                child = stack.enter_context(serving(words, listen, folder, _home(folder), asked))
                yield Contender(who, THROUGH[name], functools.partial(_asked, doorward, child, listen, who, name))


def _asked(doorward: Doorward, child: Peer, port: int, who: str, name: str) -> Request:
    request = _through(child, port, who, ANSWERS.get(name, "ok"), doorward.api_key)
    if who == OURS and not refuses(request, "dw_live_unknown"):
        raise SystemExit(f"{name} let an unknown key through")
    return request


def versions() -> dict[str, str]:
    asked = {"haproxy": "-v", "nginx": "-v", "caddy": "version"}
    found = {}
    for name, word in asked.items():
        if path := program(name):
            done = subprocess.run([path, word], capture_output=True, text=True, check=False)
            found[name] = (done.stdout or done.stderr).splitlines()[0].strip()
    return found


KIND = Kind(contenders, versions=versions)
