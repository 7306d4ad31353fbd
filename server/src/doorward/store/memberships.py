"""Memberships: reads and what their events do."""

from __future__ import annotations

from typing import assert_never

from sqlalchemy import Connection, delete

from doorward.protocol import membership as protocol
from doorward.protocol.admin import Asked
from doorward.protocol.people import Membership
from doorward.protocol.people_events import MembershipChanged, MembershipCreated, MembershipDeleted, MembershipEvent
from doorward.store import accounts, grants, rows, users
from doorward.store.memory import Reader
from doorward.store.tables import memberships


def by_id(connection: Connection, id_: str) -> Membership | None:
    return rows.find(connection, memberships, Membership, id_)


def create_facts(read: Reader, asked: Asked[protocol.CreateMembership]) -> protocol.CreateFacts:
    user = users.by_reference(read.connection, asked.body.user)
    if user is not None:
        read.rely(*user.refs)
    read.rely(f"account/{asked.body.account}")
    return protocol.CreateFacts(user, accounts.by_id(read.connection, asked.body.account))


def facts(read: Reader, asked: Asked[object]) -> protocol.Facts:
    found = by_id(read.connection, asked.id)
    if found is None:
        return protocol.Facts(None)
    of_user = grants.of_user(read.connection, found.user_id)
    acting = tuple(grant for grant in of_user if grant.account_id == found.account_id)
    read.rely(f"user/{found.user_id}", *(f"grant/{grant.id}" for grant in acting))
    return protocol.Facts(found, acting)


def apply(connection: Connection, event: MembershipEvent) -> None:
    match event:
        case MembershipCreated():
            rows.add(connection, memberships, event.membership)
        case MembershipChanged():
            rows.replace(connection, memberships, event.membership)
        case MembershipDeleted():
            gone = event.membership
            this = (memberships.c.id == gone.id) & (memberships.c.version == gone.version)
            if connection.execute(delete(memberships).where(this)).rowcount != 1:
                raise rows.Stale
        case _:
            assert_never(event)
