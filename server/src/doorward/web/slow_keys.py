"""Keys that were imported by a bcrypt hash: compared when they are first shown, and known by a MAC from then on.

It is done after a caller was answered that the key is unknown, so that no stranger has anything compared; then he is
answered anew. What waits is bounded apart from passwords: whoever guesses at keys keeps nobody from signing in (T148).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from doorward.app import REHASH
from doorward.exchange import run
from doorward.passwords import Overloaded
from doorward.protocol.key_check import CheckKey, CheckKeys
from doorward.protocol.refusal import TemporarilyUnavailable
from doorward.protocol.rehash import Rehash, Shown
from doorward.protocol.secret import Secret
from doorward.store import api_keys, imports
from doorward.web.incoming import Incoming
from doorward_verify import api_key

Answer = TypeVar("Answer")


def checked(body: object) -> tuple[str, ...]:
    """The keys that a body of /v1 asks about."""
    match body:
        case CheckKey():
            return (body.key,)
        case CheckKeys():
            return tuple(one.key for one in body.keys)
        case _:
            return ()


async def answered(incoming: Incoming, texts: Iterable[str], answer: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer, given anew where one of the keys in question is known only now."""
    brand = incoming.runtime.policy.brand
    plain = [api_key.strip_uri_scheme(text) for text in texts]
    shown = [Shown(text) for text in plain if api_key.may_be_legacy(text, brand)]
    unknown = [one for one in shown if not await _is_known(incoming, one)]
    first = await answer()
    made = [await _make_known(incoming, one) for one in unknown]
    return await answer() if any(made) else first


async def made_known(incoming: Incoming, text: str) -> bool:
    """Whether a key that was just refused as unknown is known now; who asks decides again then."""
    if not api_key.may_be_legacy(text, incoming.runtime.policy.brand):
        return False
    return await _make_known(incoming, Shown(text))


async def _is_known(incoming: Incoming, shown: Shown) -> bool:
    found = await incoming.runtime.store.gather(lambda read, one: api_keys.legacy(read, one.digest), shown)
    return found.facts is not None


async def _make_known(incoming: Incoming, shown: Shown) -> bool:
    """Also by another one, who showed it at the same time and was first."""
    store = incoming.runtime.store
    gathered = await store.gather(imports.candidates, shown)
    found = await _match(incoming, shown.text, gathered.facts)
    if found is None:
        return await _is_known(incoming, shown)
    request = Rehash(found.id, found.bcrypt or "", shown.digest)
    await run(REHASH, request, store, lambda _: None, incoming.context)
    return True


async def _match(incoming: Incoming, text: str, candidates: Iterable[Secret]) -> Secret | None:
    try:
        for one in candidates:
            if await incoming.runtime.slow_keys.matches(one.bcrypt or "", text):
                return one
    except Overloaded:
        raise TemporarilyUnavailable("too many keys are waiting to be compared", reason="overloaded") from None
    return None
