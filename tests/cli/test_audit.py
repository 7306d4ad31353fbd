"""`doorward audit`: the newest first as a list, and in order as it happens."""

import json
import os

import pytest

from doorward.cli import audit, audit_export
from doorward.store import housekeeping


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


def test_a_command_removes_nothing_of_it_however_long_it_takes(acme, key, monkeypatch):
    """It may not know the settings that say what is kept, and where it goes before it is removed."""
    started = []
    monkeypatch.setattr(housekeeping.Housekeeping, "start", lambda self: started.append(self))
    assert acme("audit", "list").code == 0
    assert len(started) == 0


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


def exported(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def everything(acme):
    return acme("audit", "list", "--limit", "200", "--json").json["items"][::-1]


def test_an_export_is_the_whole_log_in_order_and_private(acme, key, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_export, "PAGE", 2)
    ran = acme("audit", "export", "all.jsonl")
    assert (ran.code, ran.out, ran.err) == (0, "", f"Exported {len(everything(acme))} entries.\n")
    assert exported(tmp_path / "all.jsonl") == everything(acme)
    assert (tmp_path / "all.jsonl").stat().st_mode & 0o777 == 0o600
    assert key["key"] not in (tmp_path / "all.jsonl").read_text()


def test_an_export_may_go_to_the_standard_output(acme, key):
    ran = acme("audit", "export", "-", "--type", "ApiKeyCreated")
    assert (json.loads(ran.out)["entity_id"], ran.err) == (key["id"], "Exported 1 entry.\n")


@pytest.mark.parametrize("words", [("--type", "ApiKeyCreated"), ("--entity", "acme"), ("--until", "2100-01-01")])
def test_an_export_that_leaves_something_out_says_so_in_each_line_and_is_no_journal(acme, key, tmp_path, words):
    acme("backup", "night.backup")
    acme("audit", "export", "all.jsonl", *words)
    assert {line["excerpt"] for line in exported(tmp_path / "all.jsonl")} == {True}
    ran = acme("restore", "night.backup", "--force", "--journal", "all.jsonl")
    assert (ran.code, "exported with --type, --entity or --until" in ran.err) == (1, True), ran.err


def test_a_file_that_is_there_is_gone_on_with_only_when_asked(acme, key, tmp_path):
    acme("audit", "export", "all.jsonl")
    whole = (tmp_path / "all.jsonl").read_bytes()
    refused = acme("audit", "export", "all.jsonl")
    assert (refused.code, "--resume" in refused.err) == (2, True)
    assert (tmp_path / "all.jsonl").read_bytes() == whole
    # The machine went down in the middle of a line.
    (tmp_path / "all.jsonl").write_bytes(whole[:-7])
    assert acme("audit", "export", "--resume", "all.jsonl").err == "Exported 1 entry.\n"
    assert (tmp_path / "all.jsonl").read_bytes() == whole
    assert acme("audit", "export", "--resume", "all.jsonl").err == "Exported 0 entries.\n"
    assert acme("audit", "export", "--resume", "new.jsonl").code == 0
    assert (tmp_path / "new.jsonl").read_bytes() == whole


@pytest.mark.parametrize("text", ["not json\n", '{"other": 1}\n', "[]\n", "no line", '{"seq":7}\nand no more'])
def test_another_file_is_not_gone_on_with(acme, tmp_path, text):
    (tmp_path / "other").write_text(text)
    ran = acme("audit", "export", "--resume", "other")
    assert (ran.code, "no export" in ran.err) == (2, True)
    assert (tmp_path / "other").read_text() == text


def test_an_export_can_be_of_a_span_of_time(acme, key, tmp_path):
    assert acme("audit", "export", "--until", "1d", "none.jsonl").err == "Exported 0 entries.\n"
    assert acme("audit", "export", "--since", "1d", "all.jsonl").code == 0
    assert exported(tmp_path / "all.jsonl") == everything(acme)
    assert acme("audit", "export", "--since", "yesterday", "no.jsonl").code == 2
    assert not (tmp_path / "no.jsonl").exists()
