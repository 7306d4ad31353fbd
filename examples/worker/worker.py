"""A worker that calls the API as itself: client credentials for a token, the token for a call (RFC 6749 §4.4).

    set -a; . ./worker.env; set +a          # from: doorward clients create ... -o env
    python worker.py https://localhost:8000/invoices

Standard library only, so that every step can be seen.
"""

import base64
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

# The system's authorities, or the server's own local CA where there is one.
TRUST = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))


ATTEMPTS = 10
AWAY = (502, 503, 504)


def answer(request: urllib.request.Request) -> tuple[int, bytes]:
    """Whoever is away for a moment says when to ask again (RFC 9110 §10.2.3)."""
    for _ in range(ATTEMPTS - 1):
        try:
            return once(request)
        except urllib.error.HTTPError as refused:
            if refused.code not in AWAY:
                raise
            time.sleep(min(int(refused.headers.get("Retry-After", "1")), 5))
    return once(request)


def once(request: urllib.request.Request) -> tuple[int, bytes]:
    with urllib.request.urlopen(request, context=TRUST, timeout=10) as reply:
        return reply.status, reply.read()


def fetch_token() -> str:
    """The access token for the client's only api, with all that it was granted."""
    secret = f"{os.environ['DOORWARD_CLIENT_ID']}:{os.environ['DOORWARD_CLIENT_SECRET']}"
    request = urllib.request.Request(
        os.environ["DOORWARD_ISSUER"] + "/oauth/token",
        data=urllib.parse.urlencode({"grant_type": "client_credentials"}).encode(),
        headers={"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()},
    )
    token: str = json.loads(answer(request)[1])["access_token"]
    return token


def call(url: str, token: str) -> str:
    status, body = answer(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}))
    return f"{status} {body.decode()}"


def main() -> int:
    try:
        print(call(sys.argv[1], fetch_token()))
    except urllib.error.HTTPError as refused:
        print(refused.code, refused.read().decode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
