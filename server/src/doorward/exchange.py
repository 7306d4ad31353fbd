"""The runner: gather, decide, render, commit, answer. Facts gone stale mean deciding again; nothing else retries."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from doorward.protocol.decision import Decision
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward.protocol.refusal import Refusal, TemporarilyUnavailable
from doorward.protocol.use import Used
from doorward.store.journal import Context
from doorward.store.memory import Reader
from doorward.store.rows import Stale
from doorward.store.store import Store

# Of those who change one thing at once, one wins each time.
ATTEMPTS = 10

Request = TypeVar("Request")
Facts = TypeVar("Facts")
Reply = TypeVar("Reply")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Exchange(Generic[Request, Facts, Reply]):
    """`parse` makes the request of what arrived; `gather` reads the facts; `decide` is pure."""

    parse: Callable[..., Request]
    gather: Callable[[Reader, Request], Facts]
    decide: Callable[[Request, Facts, Policy, Moment], Decision[Reply]]


async def run(
    exchange: Exchange[Request, Facts, Reply],
    request: Request,
    store: Store,
    render: Callable[[Reply], Answer],
    context: Callable[[Refusal | None], Context],
    also: Callable[[Answer], Callable[[Connection], None] | None] = lambda _: None,
) -> Answer:
    """The rendered answer. What a refusal carries is committed too, before it is raised (law 4).

    Rendering, signing included, comes before the commit: what cannot be rendered costs nothing, and what was not
    committed is never sent (decision 7). `also` writes beside the events in the same transaction.
    """
    for _ in range(ATTEMPTS):
        gathered = await store.gather(exchange.gather, request)
        moment = Moment(store.now(), os.urandom, gathered.position)
        refusal: Refusal | None = None
        answer: Any = None
        write = None
        uses: tuple[Used, ...] = ()
        try:
            decision = exchange.decide(request, gathered.facts, store.policy, moment)
            events, uses, answer = decision.events, decision.uses, render(decision.reply)
            write = also(answer)
        except Refusal as refused:
            refusal, events, uses = refused, refused.events, refused.uses
        if events or write:
            try:
                await store.commit(events, gathered, context(refusal), moment.now, write)
            except Stale:
                continue
        store.count(uses)
        if refusal is not None:
            raise refusal
        return answer  # type: ignore[no-any-return]
    raise TemporarilyUnavailable("the facts kept changing while the server decided")
