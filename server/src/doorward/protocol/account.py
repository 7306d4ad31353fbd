"""An account: the customer to whom keys and clients map. Suspending it stops all its credentials at once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from doorward.protocol.admin import Asked, Nothing, Strict, absent, current, invalid, limited, metadata, named, touched
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account
from doorward.protocol.events import AccountCreated, AccountUpdated
from doorward.protocol.limit import Limit
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy

ACCOUNT_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
Metadata = dict[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class CreateAccount(Strict):
    id: str
    name: str | None = None
    metadata: Metadata = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class UpdateAccount(Strict):
    name: str | None = None
    metadata: Metadata | None = None
    limits: list[Limit] | None = None


@dataclass(frozen=True, slots=True)
class AccountObject:
    id: str
    name: str
    state: str
    metadata: Metadata
    limits: list[Limit]
    created_at: int
    updated_at: int
    version: int


@dataclass(frozen=True, slots=True)
class Facts:
    account: Account | None


def create(asked: Asked[CreateAccount], facts: Facts, policy: Policy, moment: Moment) -> Decision[AccountObject]:
    body = asked.body
    if not ACCOUNT_ID.fullmatch(body.id):
        raise invalid("id", "must be 1 to 63 of a-z, 0-9, _ and -, and begin with a letter or digit")
    absent(facts.account, "account")
    name = named(body.id if body.name is None else body.name)
    account = Account(
        body.id, name, "active", metadata(body.metadata), moment.now, moment.now, limits=limited(body.limits)
    )
    return Decision(show(account), (AccountCreated(account),))


def update(asked: Asked[UpdateAccount], facts: Facts, policy: Policy, moment: Moment) -> Decision[AccountObject]:
    account = current(facts.account, asked, "account")
    name = account.name if asked.body.name is None else named(asked.body.name)
    kept = account.metadata if asked.body.metadata is None else metadata(asked.body.metadata)
    limits = account.limits if asked.body.limits is None else limited(asked.body.limits)
    return _changed(replace(account, name=name, metadata=kept, limits=limits), account, moment)


def suspend(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[AccountObject]:
    return _in_state("suspended", current(facts.account, asked, "account"), moment)


def resume(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[AccountObject]:
    return _in_state("active", current(facts.account, asked, "account"), moment)


def _in_state(state: str, account: Account, moment: Moment) -> Decision[AccountObject]:
    return _changed(replace(account, state=state), account, moment)


def _changed(account: Account, before: Account, moment: Moment) -> Decision[AccountObject]:
    """Asking for what it is already is fine, and changes nothing."""
    changed = touched(account, before, moment.now)
    return Decision(show(changed), () if changed is before else (AccountUpdated(changed),))


def show(account: Account) -> AccountObject:
    metadata: Metadata = dict(account.metadata)  # type: ignore[arg-type]
    return AccountObject(
        account.id, account.name, account.state, metadata, list(account.limits),
        account.created_at, account.updated_at, account.version,
    )  # fmt: skip
