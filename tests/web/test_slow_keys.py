"""bcrypt has a queue of its own: what is above it is refused at once, and nobody is kept from signing in."""

from __future__ import annotations

import asyncio
import threading

import bcrypt
import pytest

from doorward import passwords
from doorward.passwords import Overloaded, Passwords, SlowKeys

HASH = bcrypt.hashpw(b"a key", bcrypt.gensalt(4)).decode()


def test_the_right_text_matches_and_no_other():
    slow = SlowKeys()
    assert asyncio.run(slow.matches(HASH, "a key"))
    assert not asyncio.run(slow.matches(HASH, "a kez"))
    slow.stop()


def test_what_is_too_much_is_refused_and_passwords_go_on(monkeypatch):
    held, slow, own = threading.Event(), SlowKeys(), Passwords(0.0)
    monkeypatch.setattr(passwords.bcrypt, "checkpw", lambda *_: held.wait(30))

    async def flood():
        room = passwords.WAITING_LIMIT + passwords.THREADS
        waiting = [asyncio.create_task(slow.matches(HASH, "a key")) for _ in range(room)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await slow.matches(HASH, "a key")
        assert not await own.matches(None, "a password")
        held.set()
        assert all(await asyncio.gather(*waiting))

    asyncio.run(flood())
    slow.stop()
    own.stop()
