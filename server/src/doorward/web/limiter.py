"""Limits on the way: what a worker may give away of a rate without asking, and the exact count for everything else.

Of a rate a worker takes more than one use at a time: the more, the faster it gave away what it took before, but all
workers together never hold more than a hundredth of the limit. What is not given away within seconds is given away by
nobody, so that a limit is never exceeded, and missed by that hundredth at most. Quotas are taken one by one. What is
used up is refused from memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from doorward.protocol import limit
from doorward.protocol.limit import SECOND, SPANS, UNLIMITED, Admission, Charge, Limit, Taken
from doorward.store import limits
from doorward.store.rows import Stale
from doorward.store.store import Store
from doorward.store.writer import Unavailable

PRECISION = 100
LIFETIME = 5
HELD_LIMIT = 50_000


@dataclass(slots=True)
class Held:
    """What was seen in a cell, and what was taken from it and not given away; until `expires_at`, in nanoseconds."""

    limit: Limit
    value: int
    units: int = 0
    expires_at: int = 0
    size: int = 0


class Limiter:
    """One for each of `workers`. `failed` is told of checks that pass uncounted; without it they are refused."""

    def __init__(
        self, store: Store, workers: int = 1, failed: Callable[[], None] | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self._store, self._workers, self._failed, self._clock = store, workers, failed, clock
        self._held: dict[str, Held] = {}
        self._asking: dict[str, asyncio.Future[None]] = {}

    async def admit(self, charges: Sequence[Charge]) -> Admission:
        """Raises Unavailable when the limits cannot be asked, unless the settings let the check pass then."""
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
            await asyncio.wait(asking)
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
        now, found = self._clock(), []
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
        return held if held is not None and held.limit == charge.limit else None

    async def _ask(self, charges: Sequence[Charge]) -> Admission:
        """Who waits for the same rate asks once; where a quota is asked each time anyway, nothing is held of it."""
        now = self._clock()
        is_exact = any(charge.limit.type == "quota" for charge in charges)
        extras = [0 if is_exact else self._extra(charge, now) for charge in charges]
        paid = [self._reserve(charge, now) for charge in charges]
        missing = [charge._replace(cost=charge.cost - units) for charge, units in zip(charges, paid, strict=True)]
        wanted = list(zip(missing, extras, strict=True))
        asking = asyncio.get_running_loop().create_future()
        cells = [] if is_exact else [charge.cell for charge in charges]
        self._asking.update(dict.fromkeys(cells, asking))
        try:
            taken = await self._store.consume(lambda connection: limits.take(connection, wanted, now))
        except (Unavailable, Stale):
            self._give_back(charges, paid)
            return self._uncounted()
        finally:
            for cell in cells:
                del self._asking[cell]
            asking.set_result(None)
        if not all(one.fits for one in taken):
            self._give_back(charges, paid)
        return self._learned(taken, now)

    def _reserve(self, charge: Charge, now: int) -> int:
        """What is held already goes into the cost."""
        held = self._of(charge)
        if held is None or now >= held.expires_at:
            return 0
        units = min(held.units, charge.cost)
        held.units -= units
        return units

    def _give_back(self, charges: Sequence[Charge], paid: Sequence[int]) -> None:
        for charge, units in zip(charges, paid, strict=True):
            held = self._of(charge)
            if held is not None:
                held.units += units

    def _uncounted(self) -> Admission:
        if self._failed is None:
            raise Unavailable("the limits cannot be asked") from None
        self._failed()
        return Admission(is_counted=False)

    def _learned(self, taken: Sequence[Taken], now: int) -> Admission:
        """What was taken beyond the cost is held, unless it was too little of any of them, and nothing was taken."""
        given = all(one.fits for one in taken)
        states = []
        for one in taken:
            spare = one.granted - one.charge.cost if given else 0
            held = self._hold(one, spare, now)
            states.append((one.charge, one.value, held.units, one.fits))
        return limit.admission(states, now)

    def _hold(self, one: Taken, spare: int, now: int) -> Held:
        before = self._of(one.charge)
        units = before.units if before is not None and now < before.expires_at else 0
        held = Held(one.charge.limit, one.value, units + spare, now + _lifetime(one.charge.limit), spare)
        self._held.pop(one.charge.cell, None)
        self._held[one.charge.cell] = held
        if len(self._held) > HELD_LIMIT:
            del self._held[next(iter(self._held))]
        return held

    def _extra(self, charge: Charge, now: int) -> int:
        """Twice as much as the last time, if that was given away before it expired; else nothing."""
        held = self._of(charge)
        if held is None or now >= held.expires_at:
            return 0
        return min(self._share(charge.limit), 2 * held.size + 1)

    def _share(self, of: Limit) -> int:
        return 0 if of.type == "quota" else of.amount // (PRECISION * self._workers)


def _lifetime(of: Limit) -> int:
    return min(LIFETIME, SPANS.get(of.per, LIFETIME)) * SECOND
