"""Questions to the server about credentials: each is on its way once, and what was answered is remembered."""

from __future__ import annotations

import time
from collections.abc import Callable

from doorward_verify import jwt, verdict
from doorward_verify.allowance import Allowance
from doorward_verify.credential import Presented
from doorward_verify.errors import Unavailable
from doorward_verify.feed import Line
from doorward_verify.memory import Known, Memory
from doorward_verify.outbound import TIMEOUT
from doorward_verify.single_flight import SingleFlight
from doorward_verify.source import Source
from doorward_verify.verdict import RECHECK_AFTER, Inquiry, Policy

UNKNOWN_LIMIT = 10_000
# Of what has been good before, the policy decides when no answer comes, and soon: `max_staleness` has passed already.
KNOWN_TIMEOUT = 0.8
# A worker of the server that lags behind the feed catches up within 0.1 s.
PATIENCE = (0.02, 0.05, 0.1, 0.2, 0.4)


class Asking:
    """`line` is what the feed says now; `reports` whether uses are told apart from questions, or each is one."""

    def __init__(
        self, source: Source, memory: Memory, policy: Policy, line: Callable[[], Line],
        clock: Callable[[], float], monotonic: Callable[[], float], reports: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._reports = reports
        self._source, self._memory, self._policy, self._line = source, memory, policy, line
        self._clock, self._monotonic = clock, monotonic
        self._unknown = Memory(UNKNOWN_LIMIT)
        self._flights: SingleFlight[Known] = SingleFlight()

    def after_fork(self) -> None:
        self._unknown.renew_lock()
        self._flights = SingleFlight()

    def refuse_unknown(self, digest: bytes) -> None:
        """Raises InvalidToken for a secret of which the server said just now that it is none."""
        unknown = self._unknown.get(digest)
        if unknown is not None and self._monotonic() < unknown.fresh_until:
            unknown.result()

    def __call__(
        self, presented: Presented, digest: bytes, proof: Known | None, started: float, cost: int = 1
    ) -> Known:  # fmt: skip
        """Raises Unavailable when there is no answer and none is needed (see `verdict.unanswered`), RateLimited when
        `cost` is too much for the limits of a key."""
        known = self._memory.get(digest)
        if known is not None and known.allowance is not None:
            return self._ask_alone(presented, digest, known.allowance, cost)
        own: list[Known] = []
        while True:
            answer = self._flights(digest, lambda: self._inquire(presented, digest, proof, cost, own=own))
            # A flight that was under way may have asked before a revocation that its latecomers must not miss.
            is_new = answer.asked_at >= started or self._monotonic() < answer.asked_at + RECHECK_AFTER
            if is_new and not (proof is None and answer.was_hit(self._line().log)):
                break
        lent = answer.allowance
        if lent is None or self._is_paid(lent, cost, is_own=answer in own):
            return answer
        return self._ask_alone(presented, digest, lent, cost)

    def _ask_alone(self, presented: Presented, digest: bytes, lent: Allowance, cost: int) -> Known:
        """A key that has limits: what it costs is taken with the question, so that nobody can share the answer."""
        answer = self._inquire(presented, digest, None, cost, lent)
        if answer.allowance is not None:
            self._is_paid(answer.allowance, cost, is_own=True)
        return answer

    def _is_paid(self, lent: Allowance, cost: int, *, is_own: bool) -> bool:
        """Who asked himself has paid, unless it was too much. Raises RateLimited."""
        return (is_own and lent.refusal is None) or lent.gives(cost, self._monotonic())

    def _inquire(
        self, presented: Presented, digest: bytes, proof: Known | None, cost: int,
        lent: Allowance | None = None, own: list[Known] | None = None,
    ) -> Known:  # fmt: skip
        line, asked_at = self._line(), self._monotonic()
        known = _still_known(self._memory.get(digest), line, proof)
        if lent is None and known is not None and known.allowance is None and asked_at < known.fresh_until:
            return known
        spare = 0 if lent is None else lent.wants(asked_at)
        inquiry = Inquiry(presented, proof, known, asked_at, self._clock(), line.era, cost, spare)
        try:
            learned = self._introspect(inquiry, digest)
        except Unavailable as problem:
            learned = verdict.unanswered(problem, inquiry, self._policy)
        if own is not None:
            own.append(learned)
        if lent is not None and not spare and learned.allowance is not None:
            # What another one borrowed meanwhile is still to be given away.
            learned = learned._replace(allowance=learned.allowance.after(lent, asked_at))
        return self._remember(digest, learned, inquiry)

    def _introspect(self, inquiry: Inquiry, digest: bytes) -> Known:
        """Raises Unavailable, also when all answers are older than what the feed told already."""
        is_secret, known = inquiry.proof is None, inquiry.known
        asks_by_digest = is_secret and not inquiry.presented.is_foreign
        question = {"token_sha256": jwt.b64url_encode(digest)} if asks_by_digest else {"token": inquiry.presented.text}
        if inquiry.presented.kind == "api_key":
            question |= {"cost": str(inquiry.cost), "spare": str(inquiry.spare)}
        if self._reports():
            question["usage"] = "reported"
        timeout = TIMEOUT if is_secret and known is None else KNOWN_TIMEOUT
        for pause in PATIENCE:
            answer = self._source.introspect(question, self._line().vouched_at, timeout)
            if answer.claims is None and known is None and inquiry.presented.is_legacy:
                # Imported by a slow hash, it is known by its digest only after its text was seen once.
                question["token"] = inquiry.presented.text
                question.pop("token_sha256", None)
                answer = self._source.introspect_slowly(question, timeout)
            if known is not None and known.position and answer.position and answer.position < known.position:
                # A worker that lags behind: what we know is newer than its answer.
                return known._replace(asked_at=inquiry.asked_at)
            learned = verdict.answered(answer.claims, answer.position, inquiry, self._policy)
            if not (is_secret and learned.was_hit(self._line().log)):
                return learned
            time.sleep(pause)
        raise Unavailable("the server's answers are older than its revocation feed")

    def _remember(self, digest: bytes, learned: Known, inquiry: Inquiry) -> Known:
        """Unknown secrets can be made up at will, so they have a memory of their own and push out nothing good."""
        is_made_up = learned.verified is None and inquiry.proof is None and inquiry.known is None
        (self._unknown if is_made_up else self._memory).put(digest, learned, inquiry.asked_at)
        return learned


def _still_known(known: Known | None, line: Line, proof: Known | None) -> Known | None:
    """What serves when nobody answers: of a secret only what no entry hit, confirmed for as long as the feed lived."""
    if known is None or proof is not None or known.confirmed_at is None:
        return known
    if known.era != line.era or known.was_hit(line.log):
        return None
    return known._replace(confirmed_at=max(known.confirmed_at, min(line.vouched_at, known.held_until)))
