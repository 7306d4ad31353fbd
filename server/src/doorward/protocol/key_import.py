"""`/v1/keys/import`: keys that were made elsewhere, by their texts or by hashes of them; they keep their texts.

POST /v1/keys/import        {"rows": [{"account": "acme", "api": "Invoices", "scope": "read", "sha256": "..."}, ...]}
POST /v1/keys/import/check  the same, and nothing is changed

Each row is answered by itself, in the order of the request. A text is kept as HMAC(pepper, SHA-256(text)) at once,
like every secret; of a bcrypt hash that is made when the key is first shown (web/slow_keys.py).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from doorward.protocol import legacy, network
from doorward.protocol.account import ACCOUNT_ID, Metadata
from doorward.protocol.admin import Asked, Strict, invalid, metadata, named, permitted
from doorward.protocol.decision import Decision
from doorward.protocol.entities import Account, Api, ApiKey
from doorward.protocol.events import AccountCreated, ApiKeyCreated
from doorward.protocol.moment import Moment
from doorward.protocol.policy import DAY, Policy
from doorward.protocol.refusal import Unprocessable
from doorward.protocol.scope import within
from doorward.protocol.secret import ID_LENGTH, Pepper, Secret

BATCH_LIMIT = 500
# An imported key ends: its text has been elsewhere.
LIFETIME_LIMIT = 366 * DAY
# One check of a text compares it with so many slow hashes at most.
SLOW_LIMIT = 4


@dataclass(frozen=True, slots=True)
class ImportRow(Strict):
    """One of `key`, `sha256` and `bcrypt`; a bcrypt hash needs `prefix` to be found by."""

    account: str
    api: str
    scope: str
    name: str | None = None
    environment: Literal["live", "test"] = "live"
    key: str | None = field(default=None, repr=False)
    sha256: str | None = field(default=None, repr=False)
    bcrypt: str | None = field(default=None, repr=False)
    prefix: str = ""
    expires_at: int | None = None
    networks: list[str] = field(default_factory=list)
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImportKeys(Strict):
    """`entropy` is how many bits of chance are in the keys behind hashes, as whoever made them knows."""

    rows: list[ImportRow]
    create_accounts: bool = False
    entropy: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedRowObject:
    """`outcome` is imported, duplicate (`id` is the key that there is, if it is there yet), fit (when only checked) or
    refused."""

    outcome: str
    id: str | None = None
    field: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedObject:
    results: list[ImportedRowObject]


@dataclass(frozen=True, slots=True)
class Facts:
    """`apis` by what the rows call them, `known` are the owners of secrets by their MACs and ids, `slow` counts by
    prefix.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    apis: dict[str, Api] = field(default_factory=dict)
    known: dict[bytes | str, str] = field(default_factory=dict)
    slow: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a row's key, and the MACs under which it may be known already."""

    macs: tuple[bytes, ...] = field(repr=False)
    prefix: str
    bcrypt: str | None = field(repr=False)
    secret_id: str = ""  # of a bcrypt hash


@dataclass(frozen=True, slots=True)
class _Batch:
    """What the rows so far have made."""

    accounts: dict[str, Account]
    keys: list[ApiKeyCreated]
    known: dict[bytes | str, str]
    slow: Counter[str]


def bounded(body: ImportKeys) -> ImportKeys:
    if not 1 <= len(body.rows) <= BATCH_LIMIT:
        raise invalid("rows", f"must be 1 to {BATCH_LIMIT} rows")
    return body


def decide(asked: Asked[ImportKeys], facts: Facts, policy: Policy, moment: Moment) -> Decision[ImportedObject]:
    results, batch = _all(asked, facts, "imported", policy, moment)
    return Decision(ImportedObject(results), (*map(AccountCreated, batch.accounts.values()), *batch.keys))


def check(asked: Asked[ImportKeys], facts: Facts, policy: Policy, moment: Moment) -> Decision[ImportedObject]:
    results, _ = _all(asked, facts, "fit", policy, moment)
    return Decision(ImportedObject(results))


def _all(
    asked: Asked[ImportKeys], facts: Facts, word: str, policy: Policy, moment: Moment
) -> tuple[list[ImportedRowObject], _Batch]:
    body = bounded(asked.body)
    if body.create_accounts:
        permitted(asked.caller, "accounts:write")
    batch = _Batch({}, [], dict(facts.known), Counter(facts.slow))
    return [_one(row, body, facts, batch, word, policy, moment) for row in body.rows], batch


def _one(
    row: ImportRow, body: ImportKeys, facts: Facts, batch: _Batch, word: str, policy: Policy, moment: Moment
) -> ImportedRowObject:
    try:
        kept = _kept(row, body, policy)
        there = next((batch.known[name] for name in (*kept.macs, kept.secret_id) if name in batch.known), None)
        if there is not None:
            return ImportedRowObject("duplicate", there or None)
        made = _made(row, kept, body, facts, batch, policy, moment)
    except Unprocessable as refusal:
        ((name, must),) = refusal.fields
        return ImportedRowObject("refused", field=name, error=must)
    batch.keys.append(made)
    # What is only checked gets no id.
    id_ = made.api_key.id if word == "imported" else ""
    batch.known[kept.macs[0]] = id_
    return ImportedRowObject(word, id_ or None)


def macs(row: ImportRow, body: ImportKeys, policy: Policy) -> tuple[bytes, ...]:
    """Under which a row's key may be known already; none where the row is refused."""
    try:
        return _kept(row, body, policy).macs
    except Unprocessable:
        return ()


def secret_ids(body: ImportKeys) -> set[str]:
    """Under which keys by bcrypt hashes are known also once they were used, when nothing is kept of their hashes."""
    return {legacy.id_of_bcrypt(row.bcrypt) for row in body.rows if row.bcrypt is not None}


def _kept(row: ImportRow, body: ImportKeys, policy: Policy) -> _Kept:
    if sum(one is not None for one in (row.key, row.sha256, row.bcrypt)) != 1:
        raise invalid("key", "or sha256 or bcrypt is needed, and only one of them")
    prefix = legacy.prefix(row.prefix, needed=row.bcrypt is not None)
    if row.key is not None:
        return _Kept(_macs(policy.pepper, legacy.digest_of_text(row.key, prefix, policy.brand)), prefix, None)
    legacy.stated(body.entropy)
    if row.bcrypt is None:
        return _Kept(_macs(policy.pepper, legacy.digest_of_hash(row.sha256 or "")), prefix, None)
    # Of more bytes than any digest has: what is shown never leads to this MAC, the hash itself included.
    known = legacy.bcrypt(row.bcrypt)
    return _Kept(_macs(policy.pepper, b"bcrypt" + known.encode()), prefix, known, legacy.id_of_bcrypt(known))


def _macs(pepper: Pepper, digest: bytes) -> tuple[bytes, ...]:
    return tuple(pepper.macs(digest))


def _made(
    row: ImportRow, kept: _Kept, body: ImportKeys, facts: Facts, batch: _Batch, policy: Policy, moment: Moment
) -> ApiKeyCreated:
    api = facts.apis.get(row.api)
    if api is None:
        raise invalid("api", "must be the URI, name or id of an api")
    if not api.legacy:
        raise invalid("api", "must take imported keys: its setting legacy is off")
    scope, networks = within(row.scope, api), network.texts(row.networks)
    expires_at, told = _expiry(row, api, policy, moment), metadata(row.metadata)
    account = _account(row, body, facts, batch, moment)
    key = ApiKey(
        moment.id("key"), account.id, api.id, named(row.name or account.name), row.environment, scope, "active",
        expires_at, told, moment.now, moment.now, networks=networks,
    )  # fmt: skip
    if kept.bcrypt is not None:
        _find_room(kept.prefix, batch)
    batch.accounts.update({} if account.id in facts.accounts else {account.id: account})
    secret = Secret(
        kept.secret_id or moment.base62(ID_LENGTH), "", row.environment, key.id, kept.macs[0], policy.pepper.current,
        moment.now, legacy=kept.prefix, bcrypt=kept.bcrypt,
    )  # fmt: skip
    return ApiKeyCreated(key, secret)


def _find_room(prefix: str, batch: _Batch) -> None:
    if batch.slow[prefix] >= SLOW_LIMIT:
        raise invalid("prefix", f"must be that of {SLOW_LIMIT} bcrypt hashes at most, each of which would be tried")
    batch.slow[prefix] += 1


def _expiry(row: ImportRow, api: Api, policy: Policy, moment: Moment) -> int:
    """Within what the api lets its keys live."""
    limit = min(LIFETIME_LIMIT, api.key_lifetime_limit or LIFETIME_LIMIT)
    if row.expires_at is None:
        return moment.now + min(policy.api_key_lifetime, limit)
    if not moment.now < row.expires_at <= moment.now + limit:
        must = f"{limit // DAY} days" if limit % DAY == 0 else f"{limit} seconds"
        raise invalid("expires_at", f"must be in the next {must}")
    return row.expires_at


def account_id(reference: str) -> str:
    """The id of an account that is made for a row: the same for the same words, so that none is made twice."""
    if ACCOUNT_ID.fullmatch(reference):
        return reference
    return f"imported-{hashlib.sha256(reference.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def _account(row: ImportRow, body: ImportKeys, facts: Facts, batch: _Batch, moment: Moment) -> Account:
    id_ = account_id(row.account) if body.create_accounts else row.account
    found = facts.accounts.get(id_) or batch.accounts.get(id_)
    if found is not None:
        return found
    if not body.create_accounts:
        raise invalid("account", "must be the id of an account")
    return Account(id_, named(row.account), "active", {}, moment.now, moment.now)
