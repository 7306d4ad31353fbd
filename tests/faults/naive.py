"""Rules broken on purpose: what these tests say of Doorward, they must deny of this."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import update

from doorward.store import codes, commit, limits, quick, refresh_tokens, writer
from doorward.store.store import Store
from doorward.store.tables import codes as code_table
from doorward.store.tables import refresh_tokens as refresh_token_table

# Long enough for another process to come between, and for a kill.
BETWEEN = 0.02


def check_then_act() -> None:
    """What was read is believed when it is written: nobody looks again whether it still is so."""

    def redeem(connection: Any, events: Any, now: int) -> None:
        of_them = code_table.c.digest.in_([event.code.digest for event in events])
        connection.execute(update(code_table).where(of_them).values(redeemed_at=now))

    def rotate(connection: Any, events: Any, now: int) -> None:
        for token in (event.refresh_token for event in events):
            rotated = {"rotated_at": token.rotated_at, "successor_id": token.successor_id, "successor": token.successor}
            connection.execute(update(refresh_token_table).where(refresh_token_table.c.id == token.id).values(rotated))
        quick.add(connection, refresh_token_table, [event.successor for event in events])

    codes.redeem_all, refresh_tokens.rotate_all = redeem, rotate
    commit.CROWD = {**commit.CROWD, codes.CodeRedeemed: redeem, refresh_tokens.RefreshTokenRotated: rotate}
    writer._is_stale = lambda *_: False


def counted_from_memory() -> None:
    """What is left of a limit is what this process saw first, less what it gave away itself."""
    read, keep = limits.read, limits._keep
    known: dict[str, Any] = {}

    def remembered(connection: Any, cells: Any) -> Any:
        found, now = read(connection, cells)
        for cell, held in found.items():
            known.setdefault(cell, held)
        return {cell: known[cell] for cell in cells if cell in known}, now

    def kept(connection: Any, cells: Any, of: Any, now: int) -> None:
        known.update(cells)
        keep(connection, cells, of, now)

    limits.read, limits._keep = remembered, kept


def two_transactions() -> None:
    """Each event of a decision is committed by itself."""
    at_once = Store.commit

    async def one_by_one(self: Store, events: Any, gathered: Any, context: Any, now: int, also: Any = None) -> None:
        for number, event in enumerate(events or (None,)):
            await at_once(self, (event,) if event else (), gathered, context, now, None if number else also)
            await asyncio.sleep(BETWEEN)

    Store.commit = one_by_one  # type: ignore[method-assign]


RULES = {rule.__name__: rule for rule in (check_then_act, counted_from_memory, two_transactions)}


def broken(name: str) -> None:
    RULES[name]()
