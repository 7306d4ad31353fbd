"""`doorward audit`: the newest first as a list, and in order as it happens."""

import json
import os

import pytest

from doorward.cli import audit


def test_the_newest_comes_first_and_says_who_did_it(acme, key):
    page = acme("audit", "list", "--json").json
    assert [entry["seq"] for entry in page["items"]] == sorted((e["seq"] for e in page["items"]), reverse=True)
    newest = page["items"][0]
    assert (newest["type"], newest["entity_id"], newest["actor"]) == (
        "ApiKeyCreated",
        key["id"],
        f"local:{os.getuid()}",
    )


def test_filters_narrow_by_type_and_by_entity(acme, key):
    assert {e["type"] for e in acme("audit", "list", "--type", "ApiCreated", "--json").json["items"]} == {"ApiCreated"}
    assert {e["entity_id"] for e in acme("audit", "list", "--entity", "acme", "--json").json["items"]} == {"acme"}


def test_the_table_holds_no_secret(acme, key):
    ran = acme("audit", "list")
    assert ran.out.splitlines()[0].split() == ["SEQ", "AT", "TYPE", "ENTITY", "BY", "MORE"]
    assert key["id"] in ran.out
    assert key["key"] not in ran.out


@pytest.fixture
def interrupted(monkeypatch):
    """What happens while a tail waits; then its reader presses Ctrl-C."""

    def interrupted(*happenings):
        waiting = list(happenings)

        async def sleep(seconds):
            assert seconds == audit.POLL
            if not waiting:
                raise KeyboardInterrupt
            await waiting.pop(0)()

        monkeypatch.setattr("asyncio.sleep", sleep)

    return interrupted


def test_a_tail_begins_with_the_last_entries_and_ends_quietly(acme, key, interrupted):
    interrupted()
    ran = acme("audit", "tail", "--json")
    entries = [json.loads(line) for line in ran.out.splitlines()]
    assert [entry["seq"] for entry in entries] == sorted(entry["seq"] for entry in entries)
    assert entries[-1]["entity_id"] == key["id"]
    assert (ran.code, ran.err) == (0, "")


def test_a_tail_tells_what_happens_meanwhile_once(acme, interrupted, monkeypatch):
    apis = []
    started = audit.run

    def remembered(context, conversation):
        async def follow(api):
            apis.append(api)
            await conversation(api)

        return started(context, follow)

    async def suspend():
        await apis[0].post("/accounts/acme/suspend")

    async def nothing():
        return None

    monkeypatch.setattr(audit, "run", remembered)
    interrupted(suspend, nothing, nothing)
    ran = acme("audit", "tail", "--type", "AccountUpdated", "--json")
    assert [json.loads(line)["entity_id"] for line in ran.out.splitlines()] == ["acme"]
