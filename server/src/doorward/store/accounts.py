"""Accounts: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection

from doorward.protocol import account as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.entities import Account
from doorward.protocol.events import AccountCreated, AccountEvent, AccountUpdated
from doorward.store import rows
from doorward.store.memory import Reader
from doorward.store.tables import accounts


def by_id(connection: Connection, id_: str) -> Account | None:
    return rows.find(connection, accounts, Account, id_)


def create_facts(read: Reader, asked: Asked[protocol.CreateAccount]) -> protocol.Facts:
    return _facts(read, asked.body.id)


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    return _facts(read, asked.id)


def _facts(read: Reader, id_: str) -> protocol.Facts:
    read.rely(f"account/{id_}")
    return protocol.Facts(by_id(read.connection, id_))


def apply(connection: Connection, event: AccountEvent) -> None:
    match event:
        case AccountCreated():
            rows.add(connection, accounts, event.account)
        case AccountUpdated():
            rows.replace(connection, accounts, event.account)
        case _:
            assert_never(event)
