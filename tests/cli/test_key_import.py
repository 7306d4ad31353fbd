"""`doorward keys import`: a table of keys that were made elsewhere, row by row."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets

import bcrypt
import pytest

HASHED = ("--api", "Invoices", "--scope", "invoices:read", "--entropy", "128")


def a_text() -> str:
    return "old_" + secrets.token_hex(24)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def table(*rows: dict[str, object]) -> str:
    made = io.StringIO()
    writer = csv.DictWriter(made, dict.fromkeys(name for row in rows for name in row))
    writer.writeheader()
    writer.writerows(rows)
    return made.getvalue()


@pytest.fixture
def legacy(acme):
    acme("apis", "update", "Invoices", "--legacy")
    return acme


def test_a_table_of_hashes_is_imported_and_its_keys_work(legacy, tmp_path):
    texts = [a_text() for _ in range(3)]
    old = tmp_path / "old.csv"
    rows = [{"account": "acme", "sha256": sha256(text), "metadata.plan": "gold"} for text in texts]
    old.write_text(table(*rows), "utf-8")
    ran = legacy("keys", "import", str(old), *HASHED)
    assert (ran.code, ran.out) == (0, "Of 3 keys: 3 imported, 0 there already, 0 refused.\n")
    assert ran.err == ""
    assert legacy("keys", "verify", "-", "--scope", "invoices:read", stdin=texts[1]).code == 0
    again = legacy("keys", "import", str(old), *HASHED)
    assert again.code == 0
    assert again.out.endswith("0 imported, 3 there already, 0 refused.\n")
    shown = legacy("keys", "list", "--json").json["items"][0]
    assert shown["metadata"] == {"plan": "gold"}


def test_a_dry_run_says_what_would_be_wrong_and_changes_nothing(legacy):
    good = a_text()
    rows = table(
        {"account": "acme", "key": good},
        {"account": "nobody", "key": a_text()},
        {"account": "acme", "key": "guess"},
        {"account": "acme", "key": good},
    )
    words = ("keys", "import", "-", "--format", "csv", "--api", "Invoices", "--scope", "invoices:read", "--dry-run")
    ran = legacy(*words, stdin=rows)
    assert ran.code == 1
    assert ran.out.splitlines()[0] == "line 3: account must be the id of an account"
    assert ran.out.splitlines()[1].startswith("line 4: key must be 16 to 512 printable")
    assert ran.out.splitlines()[2] == "line 5: is in this file already"
    assert ran.out.splitlines()[3] == "Of 4 keys: 1 would be imported, 1 there already, 2 refused."
    assert legacy("keys", "list", "--json").json["items"] == []
    assert good not in ran.out + ran.err


def test_json_lines_bring_what_they_have(legacy):
    text = "ab12cd34." + secrets.token_hex(20)
    row = {
        "account": "Mill & Sons", "api": "Invoices", "scope": "invoices:read", "prefix": "ab12cd34",
        "bcrypt": bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode(), "metadata": {"seats": 3},
        "networks": ["10.0.0.0/8"],
    }  # fmt: skip
    words = ("keys", "import", "-", "--format", "jsonl", "--entropy", "128", "--create-accounts", "--json")
    ran = legacy(*words, stdin=json.dumps(row) + "\n\n")
    assert ran.code == 0
    (told,) = [json.loads(line) for line in ran.out.splitlines()]
    assert (told["line"], told["outcome"]) == (1, "imported")
    checked = legacy("keys", "verify", "-", "--address", "10.1.2.3", "--json", stdin=text).json
    assert (checked["active"], checked["key_id"]) == (True, told["id"])
    assert legacy("keys", "show", told["id"], "--json").json["metadata"] == {"seats": 3}


def test_many_go_in_several_batches(legacy):
    rows = [{"account": "acme", "sha256": sha256(str(number))} for number in range(600)]
    ran = legacy("keys", "import", "-", "--format", "csv", *HASHED, stdin=table(*rows))
    assert ran.out == "Of 600 keys: 600 imported, 0 there already, 0 refused.\n"


BROKEN = (
    ("csv", "", "the file is empty"),
    ("csv", "account,colour\nacme,red\n", "unknown column 'colour'"),
    ("csv", "account,account\nacme,acme\n", "names a column twice"),
    ("csv", "account,key\nacme\n", "line 2: has 1 cells, and the first line 2"),
    ("csv", f"account,key\nacme,{'x' * 40_000}\n", "is no CSV"),
    ("csv", f"key\n{a_text()}\n", "line 2: account is missing"),
    ("csv", f"account,key,expires_at\nacme,{a_text()},soon\n", "line 2: expires_at must be a time"),
    ("csv", f"account,key,environment\nacme,{a_text()},prod\n", "line 2: environment must be live or test"),
    ("jsonl", "{", "line 1: is no JSON"),
    ("jsonl", "[1]", "line 1: is no JSON object"),
    ("jsonl", '{"colour": "red"}', "line 1: has an unknown member 'colour'"),
    ("jsonl", '{"account": 1}', "line 1: account must be text"),
    ("jsonl", '{"account": "acme", "metadata": {"a": [1]}}', "line 1: metadata must be"),
    ("jsonl", '{"account": "acme", "networks": "10.0.0.0/8"}', "line 1: networks must be"),
)


@pytest.mark.parametrize(("kind", "text", "said"), BROKEN, ids=[f"{kind}-{n}" for n, (kind, *_) in enumerate(BROKEN)])
def test_what_cannot_be_read_is_told_by_its_line(legacy, kind, text, said):
    ran = legacy("keys", "import", "-", "--format", kind, *HASHED, stdin=text)
    assert ran.code in (1, 2)
    assert said in ran.out + ran.err


def test_a_name_that_says_nothing_needs_the_format(legacy):
    ran = legacy("keys", "import", "-", stdin="account\n")
    assert ran.code == 2
    assert "--format" in ran.err


def test_days_and_times_end_a_key(legacy):
    import time
    from datetime import UTC, datetime

    day = datetime.fromtimestamp(time.time() + 5 * 86_400, UTC).date()
    row = {"account": "acme", "key": a_text(), "expires_at": day.isoformat()}
    words = ("keys", "import", "-", "--format", "csv", "--api", "Invoices", "--scope", "invoices:read")
    assert legacy(*words, stdin=table(row)).code == 0
    (shown,) = legacy("keys", "list", "--json").json["items"]
    assert datetime.fromtimestamp(shown["expires_at"], UTC).date() == day


def test_a_bar_moves_on_a_terminal_alone(legacy, monkeypatch, tmp_path):
    old = tmp_path / "old.jsonl"
    old.write_text(json.dumps({"account": "acme", "sha256": sha256("bar")}), "utf-8")
    assert legacy("keys", "import", str(old), *HASHED).err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "importing" in legacy("keys", "import", str(old), *HASHED).err


def test_a_service_is_told_that_there_are_such_keys(acme):
    assert "LEGACY" not in acme("verifiers", "create", "--api", "Invoices", "-o", "env").out
    acme("apis", "update", "Invoices", "--legacy")
    assert "DOORWARD_LEGACY_KEYS=1\n" in acme("verifiers", "create", "--api", "Invoices", "-o", "env").out


def test_an_api_says_what_it_takes(acme):
    shown = acme("apis", "update", "Invoices", "--legacy", "--self-service", "invoices:read", "--json").json
    assert (shown["legacy"], shown["self_service"]) == (True, ["invoices:read"])
    shown = acme("apis", "update", "Invoices", "--name", "Bills", "--json").json
    assert (shown["legacy"], shown["self_service"]) == (True, ["invoices:read"])
    shown = acme("apis", "update", "Bills", "--no-legacy", "--no-self-service", "--json").json
    assert (shown["legacy"], shown["self_service"]) == (False, [])
    assert acme("apis", "update", "Bills", "--legacy", "--no-legacy").code == 2
    assert "self_service must name scopes" in acme("apis", "update", "Bills", "--self-service", "nothing").err
