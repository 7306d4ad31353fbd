"""Limits on the way: what a worker may give away of a rate without asking, and the exact count for everything else.

Of a rate a worker takes more than one use at a time: the more, the faster it gave away what it took before, but all
workers of all nodes together never hold more than the share of the limit that `limit_precision` says. Quotas are taken
one by one. What is used up is refused from memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doorward import deadline
from doorward.protocol import limit, limit_cell
from doorward.protocol.limit import SECOND, SPANS, UNLIMITED, Admission, Charge, Limit, Taken
from doorward.protocol.limit_cell import NOTHING, TURN, Loan, Wanted
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.store.limits import Cells
from doorward.store.rows import Stale
from doorward.store.writer import Unavailable

PRECISION = 0.01
LIFETIME = TURN
HELD_LIMIT = 50_000
# Nobody waits longer for what another asked.
LONGEST = 5.0


@dataclass(slots=True)
class Held:
    """What was seen in a cell, and the loan of it that is given away here; until `expires_at`, in nanoseconds."""

    limit: Limit
    value: int
    units: int = 0
    expires_at: int = 0
    size: int = 0
    turn: int = 0


class Limiter:
    """One for each worker. `failed` is told of checks that pass uncounted; without it they are refused."""

    def __init__(
        self, cells: Cells, precision: float = PRECISION, failed: Callable[[], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self.cells = cells
        self._precision, self._failed, self._clock = precision, failed, clock
        # How far the clock where limits are counted is ahead of ours.
        self._ahead = 0
        self._held: dict[str, Held] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}

    async def trouble(self) -> str | None:
        """What becomes of checks with limits at the moment, where that is not what should."""
        if await self.cells.answers():
            return None
        return "nobody can count: checks are refused" if self._failed is None else "nobody can count: checks pass"

    async def admit(self, charges: Sequence[Charge]) -> Admission:
        """Raises TemporarilyUnavailable where nobody can count, unless the settings let the check pass then."""
        if not charges:
            return UNLIMITED
        impossible = limit.impossible(charges)
        if impossible:
            # Nothing is taken of any of them; what is left is told all the same.
            left = await self._admitted([charge._replace(cost=0) for charge in charges])
            return replace(left, refused=impossible, is_possible=False)
        return await self._admitted(charges)

    async def _admitted(self, charges: Sequence[Charge]) -> Admission:
        while (found := self._at_hand(charges)) is None:
            asking = [self._asking[charge.cell] for charge in charges if charge.cell in self._asking]
            if not asking:
                return await self._ask(charges)
            done, _ = await asyncio.wait(asking, timeout=deadline.left(LONGEST))
            if not done:
                return self._uncounted()
        return found

    async def lend(self, charges: Sequence[Charge], spare: int) -> tuple[Admission, int]:
        """The same, and how many uses more, of those that are wanted, whoever asks may give away himself."""
        cap = min((self._share(charge.limit) for charge in charges), default=0)
        spare = min(spare, cap)
        if spare:
            admission = await self.admit([charge._replace(cost=charge.cost + spare) for charge in charges])
            if not admission.refused:
                # Of what nobody could count nothing is lent, and nobody is asked a second time.
                return admission, spare if admission.is_counted else 0
        return await self.admit(charges), 0

    def _at_hand(self, charges: Sequence[Charge]) -> Admission | None:
        """The answer that needs no question: there is enough here, or for certain not enough anywhere."""
        now, found = self._clock() + self._ahead, []
        for charge in charges:
            held = self._of(charge)
            if held is None:
                return None
            units = held.units if now < held.expires_at else 0
            fits = units >= charge.cost
            if not fits and units + limit.available(charge.limit, held.value, now) >= charge.cost:
                return None
            found.append((charge, held, units, fits))
        given = all(fits for *_, fits in found)
        if given:
            for charge, held, _, _ in found:
                held.units -= charge.cost
        return limit.admission(
            [(charge, held.value, units - charge.cost * given, fits) for charge, held, units, fits in found], now
        )

    def _of(self, charge: Charge) -> Held | None:
        """Nothing that was seen under another limit is of use."""
        held = self._held.get(charge.cell)
        if held is None:
            return None
        # Mostly it is the same one: to compare two takes as long as to count.
        return held if held.limit is charge.limit or held.limit == charge.limit else None

    async def _ask(self, charges: Sequence[Charge]) -> Admission:
        """Where something may be lent, who waits for the same rate asks once. With a quota beside it, nothing is."""
        is_exact = any(charge.limit.type == "quota" for charge in charges)
        wanted = [Wanted(charge) if is_exact else self._wanted(charge) for charge in charges]
        asking = asyncio.get_running_loop().create_future()
        cells = [one.charge.cell for one in wanted if one.share]
        self._asking.update(dict.fromkeys(cells, asking))
        try:
            taken, now = await self.cells.take(wanted)
        except (Unavailable, Stale):
            return self._uncounted()
        finally:
            for cell in cells:
                del self._asking[cell]
            asking.set_result(None)
        self._ahead = now - self._clock()
        return self._learned(taken, now)

    def _wanted(self, charge: Charge) -> Wanted:
        """Twice as much as the last time, if that was given away before it expired. The last loan is paid back, and
        worth nothing here from now on: without an answer nobody knows whether it was."""
        held, share = self._of(charge), self._share(charge.limit)
        if held is None:
            return Wanted(charge, 0, share)
        extra = 2 * held.size + 1 if self._clock() + self._ahead < held.expires_at else 0
        back = Loan(held.units, held.size, held.turn) if held.size else NOTHING
        held.units = held.size = 0
        return Wanted(charge, extra, share, back)

    def _uncounted(self) -> Admission:
        if self._failed is None:
            raise TemporarilyUnavailable("nobody can count the limits now", reason="limits_uncountable") from None
        self._failed()
        return Admission(is_counted=False)

    def _learned(self, taken: Sequence[Taken], now: int) -> Admission:
        """What was taken beyond the cost is held, unless it was too little of any of them, and nothing was taken."""
        given = all(one.fits for one in taken)
        states = []
        for one in taken:
            held = self._hold(one, one.granted - one.charge.cost if given else 0, now)
            states.append((one.charge, one.value, held.units, one.fits))
        return limit.admission(states, now)

    def _hold(self, one: Taken, spare: int, now: int) -> Held:
        """A loan that somebody else got meanwhile stays: with a quota beside it, nothing was lent, nor paid back."""
        held = self._held.pop(one.charge.cell, None)
        if spare or held is None or held.limit != one.charge.limit or not held.size:
            held = Held(one.charge.limit, 0, spare, now + _lifetime(one.charge.limit), spare, now // TURN)
        held.value = one.value
        self._held[one.charge.cell] = held
        if len(self._held) > HELD_LIMIT:
            del self._held[next(iter(self._held))]
        return held

    def _share(self, of: Limit) -> int:
        return limit_cell.share(of, self._precision)


def _lifetime(of: Limit) -> int:
    return min(LIFETIME, SPANS.get(of.per, LIFETIME) * SECOND)
