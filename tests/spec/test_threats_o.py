"""Logs and records under attack: T200 to T202, with a real server and secrets that are searched for everywhere."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.deployment import Doorward, served

FORGED = "x\r\n\x1b[31mCRITICAL owned\x1b[0m\u202e\u2028"


@dataclass
class Flow:
    """What the server was told and what it said: the secrets by name, and every text that came from it."""

    secrets: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, name: str, reply) -> None:
        self.texts[f"answer to {name}"] = reply.text + str(reply.headers)


def spellings(secret: str) -> dict[str, bytes]:
    """The secret as it could be written down; base64 in each of its three alignments."""
    raw = secret.encode()
    found = {"text": raw, "hex": raw.hex().encode(), "reversed": raw[::-1], "utf-16": secret.encode("utf-16-le")}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        # The letters at both ends depend on what stands beside it.
        found[f"base64 {shift}"] = encoded[4 : len(encoded) // 4 * 4 - 4]
        found[f"base64url {shift}"] = found[f"base64 {shift}"].replace(b"+", b"-").replace(b"/", b"_")
    # Digests of what was shown once are kept as MACs only: whoever reads the database finds no oracle.
    digest = hashlib.sha256(raw)
    found |= {"digest": digest.digest(), "digest in hex": digest.hexdigest().encode()}
    # The secret part alone: a cut key would be as bad.
    return found | {"its secret part": raw[-38:-6]}


def create_everything(doorward: Doorward, flow: Flow) -> dict[str, dict]:
    """Under idempotency keys, so that replies with secrets are kept as well."""
    headers = {"authorization": f"Bearer {doorward.admin_key}"}
    api = doorward.an_api()["identifier"]
    opaque = doorward.an_api(token_format="opaque")["identifier"]
    account = doorward.an_account()["id"]
    bodies = {
        "key": ("/keys", {"account": account, "api": api, "scope": "invoices:read"}),
        "client": ("/clients", {"account": account, "api": api, "scope": "invoices:read", "name": "worker"}),
        "opaque client": ("/clients", {"account": account, "api": opaque, "scope": "invoices:read", "name": "worker"}),
        "verifier": ("/verifiers", {"api": api}),
        "opaque verifier": ("/verifiers", {"api": opaque}),
        "admin": ("/admin-keys", {"name": "ci", "scope": "admin"}),
    }
    made = {}
    for name, (path, body) in bodies.items():
        for _ in range(2):
            fields = {**headers, "idempotency-key": f"make-{name.replace(' ', '-')}"}
            reply = doorward.http.post(f"/v1{path}", json=body, headers=fields)
            assert reply.status_code == 201
        made[name] = reply.json()
        flow.secrets[name] = made[name].get("key") or made[name]["client_secret"]
    return made


def use_everything(doorward: Doorward, flow: Flow, made: dict[str, dict]) -> None:
    for kind in ("", "opaque "):
        client, verifier = made[f"{kind}client"], made[f"{kind}verifier"]
        token = flow.secrets[f"{kind}access token"] = doorward.token(client)
        assert doorward.introspect(verifier, token)["active"] is True
        in_body = {part: client[part] for part in ("client_id", "client_secret")}
        flow.keep(f"{kind}introspection", doorward.post("introspect", **in_body, token=token))
        flow.keep(f"{kind}revocation", doorward.post("revoke", client, token=token))
        flow.keep(f"{kind}inactive", doorward.post("introspect", verifier, token=token))
    flow.keep("verify", doorward.v1("POST", "/keys/verify", {"key": made["key"]["key"]}))
    flow.keep("verify again", doorward.v1("POST", "/keys/verify", {"key": made["key"]["key"], "scope": "other"}))


def misuse_everything(doorward: Doorward, flow: Flow, made: dict[str, dict]) -> None:
    """Every secret where it does not belong: paths, queries, ids, names, unknown members, wrong endpoints, cut."""
    for name, secret in list(flow.secrets.items()):
        calls = {
            "a path": doorward.http.get(f"/{secret}"),
            "a wrong bearer": doorward.v1("GET", "/apis", key=secret + "x"),
            "an id": doorward.v1("GET", f"/keys/{secret}"),
            "an id to revoke": doorward.v1("POST", f"/keys/{secret}/revoke"),
            "a filter": doorward.http.get("/v1/keys", params={"account": secret}),
            "a cursor": doorward.v1("GET", f"/keys?cursor={secret}"),
            "a query": doorward.http.post("/oauth/introspect", params={"token": secret}, data={"a": "b"}),
            "a client id": doorward.post("token", {"client_id": secret, "client_secret": secret}),
            "a secret of another": doorward.post("token", {**made["client"], "client_secret": secret[:-1]}),
            "a grant type": doorward.post("token", made["client"], grant_type=secret),
            "a scope": doorward.post("token", made["client"], grant_type="client_credentials", scope=secret),
            "a resource": doorward.post("token", made["client"], grant_type="client_credentials", resource=secret),
            "a cut token": doorward.post("introspect", made["verifier"], token=secret[:-1]),
            "a token to revoke": doorward.post("revoke", made["client"], token=secret + "x"),
            "a member": doorward.v1("POST", "/accounts", {"id": "a", secret: 1}),
            "a value": doorward.v1("POST", "/accounts", {"id": secret}),
            "an idempotency key": doorward.v1("POST", "/accounts", {"id": "Bad"}, idempotency_key=secret),
            "a version": doorward.v1("PATCH", "/accounts/acme-2", {}, if_match=secret),
            "a request id": doorward.v1("GET", f"/requests/{secret}"),
            "a setup link": doorward.http.post("/setup", json={"token": secret}),
        }
        for place, reply in calls.items():
            assert reply.status_code < 500, (place, name, reply.text)
            flow.keep(f"{name} as {place}", reply)


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """The whole flow on a server of its own, which has ended when the files are read."""
    directory, found = tmp_path_factory.mktemp("canary"), Flow()
    with served(directory) as doorward:
        found.secrets["first administrator"] = doorward.admin_key
        found.secrets["setup link"] = doorward.setup_token
        made = create_everything(doorward, found)
        use_everything(doorward, found, made)
        misuse_everything(doorward, found, made)
        found.keep("forged lines", doorward.http.get("/v1/%1b[31m%0d%0aowned", headers={"authorization": "Bearer x"}))
        doorward.post("token", {"client_id": FORGED, "client_secret": "x"}, grant_type="client_credentials")
        audit, cursor = [], ""
        while cursor is not None:
            page = doorward.v1("GET", f"/audit?limit=200{cursor and '&cursor=' + cursor}").json()
            audit, cursor = audit + page["items"], page["next_cursor"]
        found.texts["audit"] = json.dumps(audit)
        bearer = {"authorization": f"Bearer {doorward.admin_key}"}
        found.texts["metrics"] = doorward.http.get("/metrics", headers=bearer).text
        while_open = {f"open {path.name}": path.read_bytes() for path in doorward.directory.glob("doorward.db*")}
    found.texts["output"] = doorward.program.output
    found.files = while_open | {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    found.directory = directory
    return found


@pytest.mark.sqlite
def test_t200_the_search_would_find_them(flow):
    assert len(flow.secrets) == 10
    assert {"doorward.db", "master.key", "pepper"} <= {Path(name).name for name in flow.files}
    for name, secret in flow.secrets.items():
        everywhere = f"a line {secret} in a log".encode()
        assert hits({name: secret}, {"log": everywhere}), name
        for shift in range(3):
            assert hits({name: secret}, {"log": base64.b64encode(b"x" * shift + everywhere)}), (name, shift)


def hits(secrets: dict[str, str], places: dict[str, bytes]) -> list[tuple[str, str, str]]:
    return [
        (name, spelling, place)
        for name, secret in secrets.items()
        for spelling, written in spellings(secret).items()
        for place, content in places.items()
        if written in content
    ]


def test_t200_no_secret_is_in_the_output(flow):
    assert hits(flow.secrets, {"output": flow.texts["output"].encode()}) == []


def test_t200_no_secret_is_in_a_file(flow):
    """The setup link is meant to be read from its own file, and is worthless once it was used."""
    others = {name: content for name, content in flow.files.items() if Path(name).name != "setup-link"}
    secrets = dict(flow.secrets)
    # Of a link that is found by what it carries, the digest is the key of its row.
    found = [hit for hit in hits(secrets, others) if hit[:2] != ("setup link", "digest in hex")]
    assert found == []


def test_t200_no_secret_is_in_the_audit_log_or_the_metrics(flow):
    places = {name: flow.texts[name].encode() for name in ("audit", "metrics")}
    assert hits(flow.secrets, places) == []
    assert "AccessTokenIssued" in flow.texts["audit"]
    assert "doorward_refusals_total" in flow.texts["metrics"]


def test_t200_no_answer_repeats_a_secret(flow):
    answers = {name: text.encode() for name, text in flow.texts.items() if name.startswith("answer")}
    assert len(answers) > 200
    assert hits(flow.secrets, answers) == []


def test_t200_every_file_is_private(flow):
    """The directory itself is 0700; what is copied out of it stays private too."""
    data = flow.directory / "data"
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    exposed = [path.name for path in data.rglob("*") if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert exposed == []


def test_t201_no_stranger_writes_lines_or_colours_into_what_others_read(flow):
    for name in ("output", "audit", "metrics"):
        text = flow.texts[name]
        assert "owned" not in text or "\x1b" not in text
        for control in ("\x1b", "\u202e", "\u2028", "\r"):
            assert control not in text, name


def test_t201_what_is_kept_of_a_refusal_is_escaped(on_sqlite):
    refused = on_sqlite.post("token", {"client_id": FORGED, "client_secret": "x"}, grant_type="client_credentials")
    path = on_sqlite.http.get("/v1/accounts/%0d%0a%1b%5b31m%e2%80%ae", headers={"authorization": "Bearer x"})
    for reply in (refused, path):
        on_sqlite.v1("GET", "/accounts")
        detail = until_kept(on_sqlite, reply.json()["request_id"])
        assert detail["actor"].isprintable()
        assert detail["path"].isprintable()
        assert detail["path"].isascii()


def until_kept(doorward, request_id):
    """Details are written every second; the deadline is for slow machines."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        told = doorward.v1("GET", f"/requests/{request_id}").json()
        if told["detail"] is not None:
            return told["detail"]
        time.sleep(0.05)
    pytest.fail("the detail was never kept")


STEERING = ["a\nb", "a\r", "\x1b[31m", "\u202eabc", "a\u2028b", "a\u200bb", "\ufeffa", "a\x7f", "\x85"]


@pytest.mark.parametrize("name", STEERING)
def test_t201_names_hold_nothing_that_steers_a_terminal(doorward, name):
    account = doorward.an_account()
    for method, path, body in (("PATCH", f"/accounts/{account['id']}", {"name": name}),
                               ("POST", "/accounts", {"id": "steering", "name": name}),
                               ("POST", "/admin-keys", {"name": name}),
                               ("POST", "/apis", {"identifier": "https://steer.example", "name": name})):  # fmt: skip
        assert doorward.v1(method, path, body).status_code == 422
