"""What is known of imported keys costs the database nothing where there are none (T160)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Engine
from tests.protocol.given import NOW, POLICY, REFRESH_TOKEN, an_api, kept
from tests.store.committing import commit, head, settled

from doorward.protocol import events as e
from doorward.protocol.key_events import LegacyTurned
from doorward.protocol.rehash import Shown
from doorward.store import api_keys, imports, tables
from doorward.store.memory import Memory, Miss, Reader
from doorward.store.rows import row

TEXT = "ab12cd34.4f9d8c7b6a5e4d3c2b1a0f9e8d7c"
DIGEST = Shown(TEXT).digest


@pytest.fixture
def memory(engine: Engine) -> Memory:
    settled(engine)
    return Memory(head(engine).position)


def look(engine: Engine, memory: Memory) -> tuple[bool, int]:
    """Whether the text is known, and how many slow hashes it may be the key of."""
    with engine.connect() as connection:
        read = Reader(memory, POLICY, connection, memory.position)
        return api_keys.legacy(read, DIGEST) is not None, len(imports.candidates(read, Shown(TEXT)))


def from_memory(memory: Memory) -> bool:
    return api_keys.legacy(Reader(memory, POLICY), DIGEST) is not None


def test_that_there_are_none_is_remembered(engine: Engine, memory: Memory) -> None:
    with pytest.raises(Miss):
        from_memory(memory)
    assert look(engine, memory) == (False, 0)
    assert from_memory(memory) is False


def test_that_an_api_takes_them_is_heard(engine: Engine, memory: Memory) -> None:
    look(engine, memory)
    opened = replace(an_api(), legacy=True, version=2, updated_at=NOW)
    assert commit(engine, e.ApiUpdated(opened), LegacyTurned("api_1", True)) == ""
    memory.hear(["api/api_1", "legacy/any"], head(engine).position)
    with pytest.raises(Miss):
        from_memory(memory)


def test_those_that_are_there_are_found_though_no_api_takes_more(engine: Engine, memory: Memory) -> None:
    slow = [
        kept(REFRESH_TOKEN, "key_1", kind="", id=f"s{n}", mac=bytes([n]), legacy=prefix, bcrypt="$2b$")
        for n, prefix in enumerate(("ab12", "ab12cd34.", "ab12cd34.4f9d", "other", ""))
    ]
    known = kept(REFRESH_TOKEN, "key_1", kind="", id="known", mac=b"another", legacy="ab12", bcrypt=None)
    with engine.begin() as connection:
        connection.execute(tables.secrets.insert(), [row(one) for one in (*slow, known)])
    assert look(engine, memory) == (False, 3)
    with engine.begin() as connection:
        mac = POLICY.pepper.mac(DIGEST)
        connection.execute(tables.secrets.update().where(tables.secrets.c.id == "known").values(mac=mac))
    assert look(engine, memory) == (True, 0)
