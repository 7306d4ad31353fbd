"""The invoices API behind a gateway of your choice, with a Doorward of its own: one command, and Ctrl-C ends all of it.

.venv/bin/python examples/gateways/behind.py nginx        # or caddy, haproxy, envoy, traefik
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
API = "https://api.example.com"
SCOPES = {"invoices:read": "Read your invoices", "invoices:write": "Create and change invoices"}
SETTINGS = f"""
check_listen = "127.0.0.1:{{check}}"

[[gateway.routes]]
path = "/invoices"
methods = ["GET"]
api = "{API}"
service = "invoices"
scope = "invoices:read"

[[gateway.routes]]
path = "/invoices"
methods = ["POST"]
api = "{API}"
service = "invoices"
scope = "invoices:write"

[[gateway.routes]]
path = "/docs"
methods = ["GET"]
public = true
"""
STARTED_WITHIN = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gateway", choices=("nginx", "caddy", "haproxy", "envoy", "traefik"))
    parser.add_argument("--port", type=int, default=9443, help="of the gateway; the next four are the others'")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Programs that change their user have to reach the gateway's files.
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        Path(name).chmod(0o755)
        run(given.gateway, given.port, Path(name))


def run(gateway: str, port: int, directory: Path) -> None:
    plain, service, main, check = range(port + 1, port + 5)
    data, trusted = directory / "data", directory / "data" / "ca.pem"
    (directory / "doorward.toml").write_text(SETTINGS.format(check=check))
    with contextlib.ExitStack() as running:
        start = running.enter_context(programs(directory))
        start([doorward(), "--data-dir", data, "serve", "--port", main])
        reached(f"https://localhost:{main}/healthz", trusted)
        key, verifier = made(Server(f"https://localhost:{main}", trusted))
        variables = {
            "DOORWARD_ISSUER": f"https://localhost:{main}", "DOORWARD_CA_FILE": str(trusted),
            "INVOICES_BEHIND": "invoices",
            "DOORWARD_VERIFIER_ID": verifier["client_id"], "DOORWARD_VERIFIER_SECRET": verifier["client_secret"],
        }  # fmt: skip
        api = [sys.executable, "-m", "uvicorn", "invoices_api:app", "--app-dir", ROOT / "examples" / "invoices-api"]
        start([*api, "--port", service], variables)
        start(configured(gateway, directory, (port, plain, service, check)))
        reached(f"https://localhost:{port}/docs", trusted)
        print(
            f"""
The API answers at https://localhost:{port}, and nobody passes without a credential:

  curl --cacert {trusted} https://localhost:{port}/invoices
  curl --cacert {trusted} https://localhost:{port}/invoices -H 'Authorization: Bearer {key["key"]}'

End the key, and ask again:

  {doorward()} --data-dir {data} keys revoke {key["id"]}

Ctrl-C ends everything, and nothing is left.""",
            flush=True,
        )
        while True:
            time.sleep(3600)


def doorward() -> str:
    return str(Path(sys.executable).with_name("doorward"))


@contextlib.contextmanager
def programs(directory: Path) -> Iterator[Callable[..., None]]:
    """What is started ends with us; what it says is kept in a file for whoever wonders."""
    started: list[subprocess.Popen[bytes]] = []
    with (directory / "programs.log").open("wb") as log:

        def start(command: Sequence[object], variables: dict[str, str] | None = None) -> None:
            words = [str(word) for word in command]
            environment = {**os.environ, "HOME": str(directory), **(variables or {})}
            started.append(subprocess.Popen(words, cwd=directory, env=environment, stdout=log, stderr=log))

        try:
            yield start
        finally:
            for program in reversed(started):
                program.terminate()
            for program in started:
                program.wait()


def made(server: Server) -> tuple[dict[str, str], dict[str, str]]:
    """The api, its customer, a key of his, and the credentials of the service; as the first administrator."""
    link = (server.trusted.parent / "setup-link").read_text()
    admin = server.post("/setup", {"token": link.strip().partition("#token=")[2]})["key"]
    server.post("/v1/apis", {"identifier": API, "name": "Invoices", "scopes": SCOPES}, admin)
    server.post("/v1/accounts", {"id": "acme", "name": "Acme Inc"}, admin)
    key = server.post("/v1/keys", {"account": "acme", "api": API, "scope": "invoices:read"}, admin)
    return key, server.post("/v1/verifiers", {"api": API}, admin)


@dataclass(frozen=True)
class Server:
    url: str
    trusted: Path

    def post(self, path: str, body: dict[str, object], admin: str = "") -> dict[str, str]:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {admin}"} if admin else {})}
        asked = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked, context=trust(self.trusted), timeout=30) as reply:
            found: dict[str, str] = json.load(reply)
            return found


def trust(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority)


def configured(gateway: str, directory: Path, ports: tuple[int, int, int, int]) -> list[str]:
    """How the gateway is started, with what `doorward gateway config` wrote."""
    port, plain, service, check = ports
    certificate, file = directory / "data" / "server.pem", directory / "gateway.yaml"
    words = ["--service", "invoices", "--listen", f"127.0.0.1:{port}", "--plaintext", f"127.0.0.1:{plain}", "-o", file]
    words += ["--upstream", f"http://127.0.0.1:{service}", "--check", f"http://127.0.0.1:{check}"]
    words += ["--tls-cert", certificate, "--tls-key", certificate]
    subprocess.run([doorward(), "gateway", "config", gateway, *map(str, words)], check=True, capture_output=True)
    if gateway == "haproxy" and os.geteuid() != 0:
        file.write_text(file.read_text().replace("    user haproxy\n    group haproxy\n", ""))
    return {
        "nginx": lambda: nginx(file, directory),
        "caddy": lambda: [program("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"],
        "haproxy": lambda: [program("haproxy"), "-db", "-f", str(file)],
        "envoy": lambda: [program("envoy"), "-c", str(file), "--disable-hot-restart"],
        "traefik": lambda: [program("traefik"), f"--configFile={file}"],
    }[gateway]()


def nginx(file: Path, directory: Path) -> list[str]:
    """Its configuration is for the http context of one that is there already: this is a small one."""
    file.write_text(file.read_text().replace("/var/log/nginx/", f"{directory}/"))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {directory}/{kind}; " for kind in kinds)
    around = directory / "nginx.conf"
    around.write_text(f"daemon off; pid {directory}/pid; events {{}} http {{ {places} include {file}; }}\n")
    return [program("nginx"), "-e", "stderr", "-p", str(directory), "-c", str(around)]


def program(name: str) -> str:
    """Of the clone's environment, or of Debian, which keeps some where only root looks."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed: on Debian, apt-get install {name}; the others with make test")
    return found


def reached(url: str, trusted: Path) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, context=trust(trusted), timeout=5):
            return
        time.sleep(0.1)
    log = trusted.parent.parent / "programs.log"
    raise SystemExit(f"nobody answers at {url}: {log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    main()
