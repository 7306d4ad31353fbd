"""Serves the single-page app: three files, what the app has to know, and a policy for what its page may do.

set -a; . ./spa.env; set +a             # from: doorward clients create ... --public -o env
python spa_server.py --port 8002 --cert FILE

There is nothing secret here and no session: the page gets its tokens itself, and keeps them in its memory alone.
"""

import argparse
import json
import os
import ssl
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

STATIC = Path(__file__).parent / "static"
# What the page has to know; a client_id is no secret.
KNOWN = {
    "issuer": os.environ["DOORWARD_ISSUER"],
    "client_id": os.environ["DOORWARD_CLIENT_ID"],
    "invoices": os.environ.get("INVOICES_URL", "https://localhost:8000/invoices"),
}
API = "{0.scheme}://{0.netloc}".format(urlsplit(KNOWN["invoices"]))
# Own scripts alone, and calls to two origins alone: what else got into the page could send its tokens nowhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    f"connect-src 'self' {KNOWN['issuer']} {API}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


class Files(SimpleHTTPRequestHandler):
    """The files of one folder, and one that is made here."""

    def do_GET(self) -> None:
        if self.path != "/config.json":
            super().do_GET()
            return
        body = json.dumps(KNOWN).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def list_directory(self, path: str | os.PathLike[str]) -> None:  # noqa: ARG002
        """Nobody is shown what lies in a folder."""
        self.send_error(404)

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """The address of a request holds a code when a user comes back."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--cert", required=True, help="a file with the certificate and its key")
    given = parser.parse_args()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(given.cert)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), lambda *args: Files(*args, directory=str(STATIC)))
    # The handshake is left to each connection's own thread: who says nothing keeps nobody waiting.
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"Serves https://localhost:{given.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
