"""`doorward users`: the people who sign in. None of these commands takes a password: users choose theirs by a link."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.durations import clock, full
from doorward.cli.options import Cursor, Json, Limit, given, noun

app = noun(
    "People who sign in.",
    """
doorward users create ada --email ada@example.com --account acme
doorward users reset-password ada
doorward users link ada --upstream acme --subject 00u1a2b3
doorward users disable ada
""",
)


class Role(StrEnum):
    member = "member"
    administrator = "administrator"


class AccountRole(StrEnum):
    owner = "owner"
    developer = "developer"
    viewer = "viewer"


User = Annotated[str, typer.Argument(metavar="USER", help="His user name or id.")]


@app.command()
def create(
    context: typer.Context,
    username: Annotated[str, typer.Argument(metavar="USERNAME", help="What he signs in with.")],
    name: Annotated[str | None, typer.Option(metavar="NAME", help="His name for people.")] = None,
    email: Annotated[str | None, typer.Option(metavar="ADDRESS", help="His e-mail address.")] = None,
    email_verified: Annotated[bool, typer.Option("--email-verified", help="It is known to be his.")] = False,
    role: Annotated[Role | None, typer.Option(help="Whether he administers this server.")] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Make him a member of this account.")] = None,
    account_role: Annotated[AccountRole | None, typer.Option(help="What he may do there (default: developer).")] = None,
    json: Json = False,
) -> None:
    """Add a user, and print a link by which he chooses his password."""
    body = given(username=username, name=name, email=email, email_verified=email_verified or None, role=role)

    async def make(api: AdminApi) -> Object:
        made = await api.create("/users", body)
        if account is not None:
            await api.create("/memberships", given(user=made["id"], account=account, role=account_role))
            made = await api.get(f"/users/{segment(made['id'])}")
        link = await api.create(f"/users/{segment(made['id'])}/reset-password", {})
        return {**made, "link": link["link"], "link_expires_at": link["expires_at"]}

    made = run(context, make, making=True)
    show_one(f"Created the user {made['username']}", made, json)


@app.command("list")
def list_(context: typer.Context, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None) -> None:
    """List users."""
    header = ("ID", "USERNAME", "NAME", "ROLE", "STATE", "CREATED")
    lists.show(context, "/users", header, _row, json=json, limit=limit, cursor=cursor)


@app.command()
def show(context: typer.Context, user: User, json: Json = False) -> None:
    """Show a user."""
    found = run(context, lambda api: api.get(f"/users/{segment(user)}"))
    show_one(str(found["username"]), found, json)


@app.command()
def disable(context: typer.Context, user: User, json: Json = False) -> None:
    """End a user's sessions and all that acts for him, at once."""
    changed = run(context, lambda api: api.post(f"/users/{segment(user)}/disable"))
    show_one(f"Disabled {changed['username']}: his sessions and tokens are refused", changed, json)


@app.command()
def enable(context: typer.Context, user: User, json: Json = False) -> None:
    """Let a disabled user in again."""
    changed = run(context, lambda api: api.post(f"/users/{segment(user)}/enable"))
    show_one(f"Enabled {changed['username']}", changed, json)


@app.command("reset-password")
def reset_password(context: typer.Context, user: User, json: Json = False) -> None:
    """Print a link by which a user chooses a new password. It works once; the old password works until then."""
    made = run(context, lambda api: api.create(f"/users/{segment(user)}/reset-password", {}))
    if json:
        output.show_json(made)
        return
    output.heading("A link to choose a new password")
    output.fields((("link", made["link"]), ("expires", full(made["expires_at"])), ("", NOTE)))


Upstream = Annotated[str, typer.Option(metavar="NAME", help="As the settings name it.")]
Login = Annotated[str, typer.Argument(metavar="LOGIN_ID", help="See `doorward users logins`.")]


@app.command()
def link(
    context: typer.Context,
    user: User,
    upstream: Upstream,
    subject: Annotated[str | None, typer.Option(metavar="SUB", help="Who he is there: `sub` of its tokens.")] = None,
    email: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Or invite whoever first shows this address there.")
    ] = None,
    json: Json = False,
) -> None:
    """Let a user sign in by a login that he has elsewhere."""
    body = given(user=user, upstream=upstream, subject=subject, email=email)
    made = run(context, lambda api: api.create("/identities", body))
    if json:
        output.show_json(made)
        return
    title = f"Linked a login at {upstream}" if subject else f"Invited {email} at {upstream}"
    output.heading(title)
    expires = None if made["expires_at"] is None else full(made["expires_at"])
    output.fields((("id", made["id"]), ("user", made["user"]), ("subject", made["subject"]), ("expires", expires)))


@app.command()
def logins(
    context: typer.Context, user: User, json: Json = False, limit: Limit = lists.LIMIT, cursor: Cursor = None
) -> None:
    """List the logins elsewhere by which a user signs in."""
    header = ("ID", "UPSTREAM", "SUBJECT", "EMAIL", "STATE", "CREATED")
    lists.show(context, "/identities", header, _login, json=json, limit=limit, cursor=cursor, user=user)


@app.command()
def unlink(context: typer.Context, login_id: Login, json: Json = False) -> None:
    """Take a login elsewhere, or an invitation, from its user."""
    run(context, lambda api: api.delete(f"/identities/{segment(login_id)}"))
    if json:
        output.show_json({"id": login_id, "unlinked": True})
        return
    output.say(f"Unlinked {login_id}: it opens nothing here any more.")


def _login(login: Object) -> tuple[str, ...]:
    where, subject, email = login["upstream"] or login["issuer"], login["subject"] or "-", login["email"] or "-"
    return login["id"], where, subject, email, login["state"], clock(login["created_at"])


NOTE = "works once; whoever opens it chooses the password, so give it to nobody else"


def _row(user: Object) -> tuple[str, ...]:
    return user["id"], user["username"], user["name"], user["role"], user["state"], clock(user["created_at"])


def show_one(title: str, user: Object, json: bool) -> None:
    if json:
        output.show_json(user)
        return
    verified = " (verified)" if user["email_verified"] else ""
    output.heading(title)
    output.fields(
        (
            ("id", user["id"]),
            ("username", user["username"]),
            ("name", user["name"]),
            ("email", f"{user['email']}{verified}" if user["email"] else None),
            ("role", user["role"]),
            ("state", user["state"]),
            ("accounts", [f"{one['account']} ({one['role']})" for one in user["accounts"]]),
            ("password", full(user["password_changed_at"], absent="not chosen yet")),
            ("created", full(user["created_at"])),
            ("link", user.get("link")),
            ("", NOTE if "link" in user else None),
        )
    )
