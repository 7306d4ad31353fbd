"""A third-party app: its users connect it to their invoices at somebody else's API, and end that whenever they like.

set -a; . ./books.env; set +a           # from: doorward clients create ... --redirect-uri ... -o env
flask --app third_party_app run --port 8001 --cert FILE --key FILE

Authlib does the protocol: authorization code with PKCE (RFC 6749 §4.1, RFC 7636), the ID token, and the refresh. What
it gets stays on this server; the browser holds a random name for it.
"""

import os
import secrets
from decimal import Decimal
from typing import Any

from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from authlib.integrations.requests_client import OAuth2Session
from flask import Flask, abort, redirect, render_template, request, session
from requests import RequestException
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from werkzeug.wrappers import Response

ISSUER = os.environ["DOORWARD_ISSUER"]
CLIENT = (os.environ["DOORWARD_CLIENT_ID"], os.environ["DOORWARD_CLIENT_SECRET"])
INVOICES = os.environ.get("INVOICES_URL", "https://localhost:8000/invoices")
OWN = os.environ.get("BOOKS_URL", "https://localhost:8001")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NOTICES = {
    "denied": "You said no, and nothing was connected.",
    "failed": "That did not work. Nothing was connected; please try again.",
    "left": "Disconnected. We have forgotten the key to your invoices.",
    "revoked": "You disconnected us. We can no longer see your invoices.",
    "ended": "You signed out, and we may not see your invoices while you are away.",
    "forbidden": "You did not allow us to read your invoices.",
    "away": "Your invoices cannot be reached just now. Please try again in a moment.",
}

# The server's own local CA, where it has one: requests listens to this name before it does to its callers.
if "DOORWARD_CA_FILE" in os.environ:
    os.environ["REQUESTS_CA_BUNDLE"] = os.environ["DOORWARD_CA_FILE"]

app = Flask(__name__)
app.secret_key = os.environ.get("BOOKS_SECRET_KEY") or secrets.token_bytes(32)
app.config.update(
    SESSION_COOKIE_NAME="__Host-books", SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax"
)  # fmt: skip

# Who is connected, by the name in his cookie. A real app keeps this in its database, sealed.
connected: dict[str, dict[str, Any]] = {}


def token_of_visitor(_: str) -> dict[str, Any] | None:
    return connected.get(session.get("visitor", ""))


def keep(_: str, token: dict[str, Any], **__: object) -> None:
    """Each refresh brings another refresh token, and the one before it is worth nothing soon."""
    connected[session["visitor"]] = {**(token_of_visitor("") or {}), **token}


def wait_for_the_server(session: OAuth2Session) -> None:
    """Whoever is away for a moment is asked again: what was not answered loses nothing by it."""
    away = Retry(
        10, status_forcelist=(502, 503, 504), allowed_methods=None, raise_on_status=False, backoff_factor=0.5,
        backoff_max=1,
    )  # fmt: skip
    session.mount("https://", HTTPAdapter(max_retries=away))


oauth = OAuth(app, fetch_token=token_of_visitor, update_token=keep)
doorward = oauth.register(
    "doorward",
    client_id=CLIENT[0],
    client_secret=CLIENT[1],
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    # With offline_access it outlives the user's session at the issuer. Among client_kwargs the scope would be sent with
    # each refresh too, and a user may have allowed less.
    authorize_params={"scope": "openid profile offline_access invoices:read"},
    compliance_fix=wait_for_the_server,
    client_kwargs={"code_challenge_method": "S256", "default_timeout": 10},
)


@app.get("/")
def home() -> str | Response:
    if token_of_visitor("") is None:
        return page(request.args.get("said"))
    try:
        reply = call()
    except OAuthError as refused:
        return over() if refused.error == "invalid_grant" else page("away")
    except RequestException:
        return page("away")
    if reply.status_code == 403:
        return page("forbidden")
    return page(found=reply.json()) if reply.ok else page("away")


def call() -> Any:
    """Authlib renews a token that is about to end. One that is refused before was revoked: shall we have another?"""
    reply = doorward.get(INVOICES)
    if reply.status_code == 401:
        ended = {**(token_of_visitor("") or {}), "expires_at": 1}
        reply = doorward.get(INVOICES, token=ended)
    return reply


@app.get("/connect")
def connect() -> Any:
    try:
        return doorward.authorize_redirect(f"{OWN}/callback")
    except RequestException:
        return page("away")


@app.get("/callback")
def callback() -> Response:
    try:
        token = doorward.authorize_access_token()
        known = doorward.userinfo(token=token)
    except OAuthError as refused:
        return back("denied" if refused.error == "access_denied" else "failed")
    except RequestException:
        return back("failed")
    if known["sub"] != token["userinfo"]["sub"]:
        # OpenID Connect Core §5.3.2: somebody else than the ID token speaks of.
        return back("failed")
    # Another name than before, which nobody can have planted.
    connected.pop(session.get("visitor", ""), None)
    session["visitor"] = secrets.token_urlsafe(32)
    keep("", {**token, "userinfo": known})
    return back()


@app.post("/disconnect")
def disconnect() -> Response | str:
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)
    try:
        revoke(token_of_visitor("") or {})
    except RequestException:
        return page("away")
    return gone("left")


def revoke(token: dict[str, Any]) -> None:
    """RFC 7009: the access token ends with its refresh token."""
    if "refresh_token" in token:
        url = doorward.load_server_metadata()["revocation_endpoint"]
        with OAuth2Session(*CLIENT, default_timeout=10) as own:
            wait_for_the_server(own)
            own.revoke_token(url, token["refresh_token"], "refresh_token").raise_for_status()


def over() -> Response:
    """A refresh token that is refused is so for good: whoever allowed us has thought better of it."""
    lasting = "offline_access" in (token_of_visitor("") or {}).get("scope", "").split()
    return gone("revoked" if lasting else "ended")


def gone(said: str) -> Response:
    connected.pop(session.pop("visitor", ""), None)
    return back(said)


def back(said: str = "") -> Response:
    """Home, where the address no longer holds what the last one did."""
    return redirect(f"/?said={said}" if said else "/", 303)


def page(said: str | None = None, found: dict[str, Any] | None = None) -> str:
    token = token_of_visitor("")
    invoices = (found or {}).get("invoices", [])
    shown = {"found": found, "total": f"{sum(Decimal(one['amount']) for one in invoices):.2f}"}
    whose = {"connected": token is not None, "name": (token or {}).get("userinfo", {}).get("name")}
    told = {"said": NOTICES.get(said or ""), "is_bad": said in ("failed", "away", "forbidden")}
    return render_template("page.html", **shown, **whose, **told, account_page=f"{ISSUER}/account")


@app.after_request
def guarded(response: Response) -> Response:
    response.headers.update({
        "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
    })  # fmt: skip
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response
