"""A service that calls the API as itself: client credentials for a token, the token for a call (RFC 6749 §4.4).

    set -a; . ./worker.env; set +a          # from: doorward clients create ... -o env
    python worker.py http://127.0.0.1:8000/invoices

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


def fetch_token() -> str:
    """The access token for the client's only api, with all that it was granted."""
    secret = f"{os.environ['DOORWARD_CLIENT_ID']}:{os.environ['DOORWARD_CLIENT_SECRET']}"
    request = urllib.request.Request(
        os.environ["DOORWARD_ISSUER"] + "/oauth/token",
        data=urllib.parse.urlencode({"grant_type": "client_credentials"}).encode(),
        headers={"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()},
    )
    context = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))
    with urllib.request.urlopen(request, context=context, timeout=10) as reply:
        token: str = json.load(reply)["access_token"]
    return token


def call(url: str, token: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def main() -> int:
    try:
        token = fetch_token()
    except urllib.error.HTTPError as refused:
        print(refused.code, refused.read().decode())
        return 1
    status, body = call(sys.argv[1], token)
    print(status, body)
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
