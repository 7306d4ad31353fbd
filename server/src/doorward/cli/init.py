"""`doorward init`, the adviser: who calls? The answer names a mechanism, and makes api, account and key or client."""

from __future__ import annotations

import base64
import hashlib
import secrets
import shlex
import sys
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote, urlencode, urlsplit

import typer

from doorward.cli import output
from doorward.cli.admin_api import AdminApi, Object, run, segment
from doorward.cli.advice import ADVICE, Advice, Caller
from doorward.cli.failure import CANCELLED, FAILED, USAGE, Failure, Refused
from doorward.cli.options import Json, Yes, pairs, verb
from doorward.cli.pasted import command

API = "https://api.example.com"
SCOPE = "read=Read your data"


@dataclass(frozen=True, slots=True)
class Questions:
    """Flags answer first; then whoever sits at the terminal; then, with --yes, the default."""

    asks: bool

    def text(self, flag: str | None, question: str, default: str) -> str:
        if flag is not None or not self.asks:
            return default if flag is None else flag
        return str(typer.prompt(question, default=default, err=True))

    def caller(self, flag: Caller | None) -> Caller:
        if flag is not None:
            return flag
        if not self.asks:
            raise Failure("say who calls: --for servers, partners, apps, own-app, mcp or ci", exit_code=USAGE)
        output.note("Who calls your API?")
        callers = list(Caller)
        for number, caller in enumerate(callers, 1):
            output.note(f"  {number}  {ADVICE[caller].who}")
        while True:
            given = str(typer.prompt("Number", default="1", err=True))
            if given.isdecimal() and 1 <= int(given) <= len(callers):
                return callers[int(given) - 1]

    def agreed(self, question: str) -> None:
        if self.asks and not typer.confirm(question, default=True, err=True):
            raise typer.Exit(CANCELLED)


@dataclass(frozen=True, slots=True)
class Given:
    """What the flags say about the things to be made."""

    api: str | None
    name: str | None
    account: str | None
    redirect_uri: str | None = None
    scope: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Made:
    api: Object
    account: Object
    kind: str
    credential: Object = field(repr=False)
    call: str = field(repr=False)
    check: str = ""
    after: tuple[tuple[str, str], ...] = ()

    @property
    def scope(self) -> str:
        granted = self.credential["apis"][0] if self.kind == "client" else self.credential
        return str(granted["scope"])


def init(
    context: typer.Context,
    caller: Annotated[
        Caller | None, typer.Option("--for", metavar="WHO", help="servers, partners, apps, own-app, mcp or ci.")
    ] = None,
    api: Annotated[str | None, typer.Option(metavar="URI", help="The API that is called; made if it is new.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Its name for people, if it is new.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(metavar="NAME=SENTENCE", help="What is allowed there. Repeatable.")
    ] = None,
    account: Annotated[str | None, typer.Option(metavar="ID", help="Whose calls they are; made if it is new.")] = None,
    redirect_uri: Annotated[
        str | None, typer.Option(metavar="URL", help="Where users come back to, for apps and own-app.")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask who calls, advise, and make what is needed.

    Without a terminal, --for and --yes are needed; what no flag answers gets a default.
    """
    questions = Questions(asks=not yes)
    if questions.asks and not sys.stdin.isatty():
        raise Failure("without a terminal nobody can be asked: give --for and --yes", exit_code=USAGE)
    caller = questions.caller(caller)
    advice = ADVICE[caller]
    if not json:
        _advise(advice)
    if advice.makes is None:
        _not_offered(caller, advice, json)
    given = Given(api, name, account, redirect_uri, scope or [])
    again = command(context.find_root().params)
    made = run(context, lambda admin: _make(admin, advice, given, questions, again), making=True, start_here=True)
    if json:
        output.show_json(_answer(caller, advice) | _found(made))
    else:
        _show(made)


def _advise(advice: Advice) -> None:
    output.heading(f"For {advice.who}: {advice.mechanism}.")
    output.say(advice.reason)


def _not_offered(caller: Caller, advice: Advice, json: bool) -> None:
    if json:
        output.show_json(_answer(caller, advice))
    else:
        output.say("\nThis version does not offer it yet. Nothing was made.")
    raise typer.Exit(FAILED)


def _answer(caller: Caller, advice: Advice) -> Object:
    return {
        "for": caller.value, "mechanism": advice.mechanism, "reason": advice.reason,
        "offered": advice.makes is not None,
    }  # fmt: skip


def _found(made: Made) -> Object:
    redeem = {"redeem": made.after[-1][1]} if made.after else {}
    return {"api": made.api, "account": made.account, made.kind: made.credential, "call": made.call, **redeem}


async def _make(admin: AdminApi, advice: Advice, given: Given, questions: Questions, command: str) -> Made:
    if questions.asks:
        output.note("")
    api = await _api(admin, given, questions)
    account_id = questions.text(given.account, "Whose calls they are, as an account's id", advice.account)
    account = await _existing(admin, f"/accounts/{segment(account_id)}")
    came_back = _came_back(given, questions, advice)
    questions.agreed(f"Make {_plan(api, account_id, account, advice)}?")
    if "id" not in api:
        api = await admin.create("/apis", api)
    account = account or await admin.create("/accounts", {"id": account_id})
    scope = " ".join(_name(word) for word in given.scope) or " ".join(api["scopes"])
    body = {"account": account["id"], "api": api["identifier"], "scope": scope}
    check = f"{command} verifiers create --api {shlex.quote(api['identifier'])} -o env"
    if advice.makes == "key":
        key = await admin.create("/keys", body)
        call = f"printf %s {shlex.quote(key['key'])} | {command} keys verify -"
        return Made(api, account, "key", key, call, check)
    body |= {"name": f"{account['id']} client"}
    if advice.is_for_people:
        return await _make_app(admin, advice, body | {"redirect_uris": [came_back]}, api, account, (command, check))
    client = await admin.create("/clients", body)
    return Made(api, account, "client", client, _token_call(admin, client), check)


async def _make_app(
    admin: AdminApi, advice: Advice, body: Object, api: Object, account: Object, commands: tuple[str, str]
) -> Made:
    """A client that people sign in for. Our own asks them nothing; one without a secret names itself alone."""
    body |= {"grant_types": ["authorization_code", "refresh_token"]}
    if advice.makes != "client":
        body |= {"token_endpoint_auth_method": "none", "first_party": True}
    client = await admin.create("/clients", body)
    command, check = commands
    verifier = secrets.token_urlsafe(32)
    user = f"{command} users create ada"
    redeem = _redeem_call(admin, client, verifier)
    after = (("Somebody who signs in, if there is nobody yet", user), ("With the code that comes back", redeem))
    return Made(api, account, "client", client, _authorize_address(admin, client, verifier), check, after)


def _authorize_address(admin: AdminApi, client: Object, verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code", "client_id": client["client_id"], "redirect_uri": client["redirect_uris"][0],
        "scope": f"openid {client['apis'][0]['scope']}", "state": secrets.token_urlsafe(12),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), "code_challenge_method": "S256",
    }  # fmt: skip
    return f"{admin.address}/oauth/authorize?{urlencode(asked, quote_via=quote)}"


def _redeem_call(admin: AdminApi, client: Object, verifier: str) -> str:
    form = f"-d grant_type=authorization_code -d code=CODE -d code_verifier={verifier}"
    to = shlex.quote(admin.address + "/oauth/token")
    if client.get("client_secret"):
        return _as_client(admin, client, f"{form} {to}")
    return f"curl {_trust(admin)}-d client_id={client['client_id']} {form} {to}"


async def _api(admin: AdminApi, given: Given, questions: Questions) -> Object:
    """The api if it is there already, else the body that makes it."""
    identifier = questions.text(given.api, "The https:// address of your API", API)
    found = await _existing(admin, f"/apis/{segment(identifier)}")
    if found is not None:
        return found
    name = questions.text(given.name, "Its name for people", urlsplit(identifier).hostname or identifier)
    words = given.scope or [questions.text(None, "A scope and what it means, as NAME=SENTENCE", SCOPE)]
    return {"identifier": identifier, "name": name, "scopes": pairs(words, "--scope", SCOPE)}


def _came_back(given: Given, questions: Questions, advice: Advice) -> str:
    if not advice.is_for_people:
        return ""
    return questions.text(given.redirect_uri, "Where users come back to", advice.redirect_uri)


async def _existing(admin: AdminApi, path: str) -> Object | None:
    try:
        return await admin.get(path)
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def _name(word: str) -> str:
    return word.partition("=")[0]


def _plan(api: Object, account_id: str, account: Object | None, advice: Advice) -> str:
    new = [f"the api {api['identifier']}"] if "id" not in api else []
    new += [f"the account {account_id}"] if account is None else []
    return output.printable(" and ".join([*new, f"a {advice.makes} of {account_id} for {api['name']}"]))


def _token_call(admin: AdminApi, client: Object) -> str:
    """The secret goes through a pipe: as an argument of curl, every user of the machine could read it."""
    return _as_client(admin, client, f"-d grant_type=client_credentials {shlex.quote(admin.address + '/oauth/token')}")


def _as_client(admin: AdminApi, client: Object, words: str) -> str:
    user = f'user = "{client["client_id"]}:{client["client_secret"]}"'
    return f"printf %s {shlex.quote(user)} |\ncurl {_trust(admin)}-K - {words}"


def _trust(admin: AdminApi) -> str:
    return f"--cacert {shlex.quote(str(admin.ca_file))} " if admin.ca_file else ""


def _show(made: Made) -> None:
    secret = made.credential.get("key") or made.credential.get("client_secret")
    output.say()
    output.fields(
        (
            ("api", f"{made.api['name']}  {made.api['identifier']}"),
            ("account", made.account["id"]),
            ("scope", made.scope),
            ("client_id", made.credential.get("client_id")),
            ("key" if made.kind == "key" else "client_secret", secret),
            ("", output.SHOWN_ONCE if secret else None),
        )
    )
    for title, text in _next(made):
        output.say(f"\n{title}:")
        output.say("\n".join(f"  {line}" for line in text.splitlines()))


def _next(made: Made) -> tuple[tuple[str, str], ...]:
    credential = "KEY" if made.kind == "key" else "TOKEN"
    sent = f"curl -H 'Authorization: Bearer {credential}' {shlex.quote(made.api['identifier'])}"
    first = "Open it in a browser, while the server runs" if made.after else "Fetch a token, while the server runs"
    return (
        ("Try it" if made.kind == "key" else first, made.call),
        *made.after,
        ("The caller sends it like this", sent),
        ("The API checks it with what this prints", made.check),
    )


app = verb(init, "doorward init\ndoorward init --for partners --api https://api.example.com --yes")
