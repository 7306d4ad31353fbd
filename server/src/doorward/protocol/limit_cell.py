"""What is counted of a limit, and what is lent of it to workers, who give it away without asking again.

A rate's cell knows how many of its uses are lent. So all workers of all nodes together never hold more than a share of
it, and nobody needs to know how many they are. Each takes half of what is left of that share, rounded up: with n of
them that comes to one part in n + 1 for each.

What was lent is known for this turn of the clock and the next one. A worker that asks again shows its last loan: what
it did not give away is in the cell again. Who never comes back loses it, and after two turns nothing is held for him.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from doorward.protocol import limit
from doorward.protocol.limit import SECOND, Charge, Limit, Taken

TURN = 5 * SECOND


class Cell(NamedTuple):
    """`value` is what `limit.take` says; of a rate so much is `lent` in a `turn`, and so much was in the one before."""

    value: int = 0
    turn: int = 0
    lent: int = 0
    lent_before: int = 0


class Loan(NamedTuple):
    """`size` uses that a worker got in a `turn` beyond what it needed; those `left` it did not give away."""

    left: int = 0
    size: int = 0
    turn: int = 0


EMPTY = Cell()
NOTHING = Loan()


class Wanted(NamedTuple):
    """The cost, and up to `extra` uses to give away, if no more than `share` is lent to all; for the loan `back`."""

    charge: Charge
    extra: int = 0
    share: int = 0
    back: Loan = NOTHING


def share(of: Limit, precision: float) -> int:
    """How much of it may be lent to all together. Of a quota nothing ever is."""
    return 0 if of.type == "quota" else int((of.burst or of.amount) * precision)


def take_all(
    wanted: Sequence[Wanted], known: Mapping[str, Cell], now: int
) -> tuple[tuple[Taken, ...], Mapping[str, Cell]]:
    """Of each cell what is wanted; where one does not have the cost, of none. And the cells that have to be kept."""
    cells = [_settled(one, known.get(one.charge.cell, EMPTY), now) for one in wanted]
    taken = [_take(one, cell, now) for one, cell in zip(wanted, cells, strict=True)]
    given = all(one.fits for one in taken)
    outcomes = [_outcome(one, cell, given) for one, cell in zip(taken, cells, strict=True)]
    changed = _changed(zip(wanted, outcomes, strict=True), known)
    return tuple(one for one, _ in outcomes), changed


def _outcome(taken: Taken, cell: Cell, given: bool) -> tuple[Taken, Cell]:
    """What was taken in the end, and what the cell says then."""
    if given:
        lent = max(taken.granted - taken.charge.cost, 0)
        return taken, cell._replace(value=taken.value, lent=cell.lent + lent)
    value = cell.value if taken.fits else taken.value
    return taken._replace(granted=0, value=value), cell._replace(value=value)


def _settled(wanted: Wanted, cell: Cell, now: int) -> Cell:
    """What the cell says at this moment, when the loan is paid back; one that is forgotten is worth nothing."""
    of, back = wanted.charge.limit, wanted.back
    if of.type == "quota":
        return cell
    turn = now // TURN
    lent = {cell.turn: cell.lent, cell.turn - 1: cell.lent_before}
    value = limit.bounded(of, cell.value, now)
    if back.size and back.turn in (turn, turn - 1):
        lent[back.turn] = max(lent.get(back.turn, 0) - back.size, 0)
        value = max(value - back.left * limit.interval(of), 0)
    return Cell(value, turn, lent.get(turn, 0), lent.get(turn - 1, 0))


def _take(wanted: Wanted, cell: Cell, now: int) -> Taken:
    free = max(wanted.share - cell.lent - cell.lent_before + 1, 0) // 2
    return limit.take(wanted.charge, cell.value, min(wanted.extra, free), now)


def _changed(
    counted: Iterable[tuple[Wanted, tuple[Taken, Cell]]], known: Mapping[str, Cell]
) -> Mapping[str, Cell]:  # fmt: skip
    """A cell that says more than its limit ever can, as after a clock was set back, is mended whatever the answer."""
    return {
        taken.charge.cell: after
        for wanted, (taken, after) in counted
        if taken.granted or wanted.back.size or after.value < known.get(taken.charge.cell, EMPTY).value
    }
