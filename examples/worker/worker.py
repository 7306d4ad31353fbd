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
import urllib.error
import urllib.parse
import urllib.request

# The system's authorities, or the server's own local CA where there is one.
TRUST = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))


def fetch_token() -> str:
    """The access token for the client's only api, with all that it was granted."""
    secret = f"{os.environ['DOORWARD_CLIENT_ID']}:{os.environ['DOORWARD_CLIENT_SECRET']}"
    request = urllib.request.Request(
        os.environ["DOORWARD_ISSUER"] + "/oauth/token",
        data=urllib.parse.urlencode({"grant_type": "client_credentials"}).encode(),
        headers={"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()},
    )
    with urllib.request.urlopen(request, context=TRUST, timeout=10) as reply:
        token: str = json.load(reply)["access_token"]
    return token


def call(url: str, token: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=TRUST, timeout=10) as reply:
        return f"{reply.status} {reply.read().decode()}"


def main() -> int:
    try:
        print(call(sys.argv[1], fetch_token()))
    except urllib.error.HTTPError as refused:
        print(refused.code, refused.read().decode())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
