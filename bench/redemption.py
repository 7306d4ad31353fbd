"""Authorization codes redeemed one after the other: made beforehand by the events that make them, each used once.

POST /oauth/token
grant_type=authorization_code&redirect_uri=...&code_verifier=...&code=...
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from doorward_server import SCOPE, Doorward, basic
from load import Request
from sqlalchemy import func, select

from doorward.protocol import authorization_events as authorization
from doorward.protocol import people_events as people
from doorward.protocol.entities import Code, Grant
from doorward.protocol.events import Event
from doorward.protocol.people import Session, User
from doorward.store import journal, tables
from doorward.store.engine import open_engine
from doorward.store.journal import Context
from doorward.store.memory import Memory
from doorward.store.writer import Append, Outcome, Writer

CALLBACK = "https://client.example/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
USERS = 100
LIFETIME = 3600
# Small, so that a server that runs meanwhile gets its turns.
BATCH = 64


@dataclass
class Codes:
    """`request` redeems those in the file; so many were `used`, and so many answers came."""

    database: str
    request: Request
    file: Path
    texts: list[str] = field(repr=False)
    used: int = 0
    answered: int = 0

    def count(self, asked: int, replies: int) -> None:
        self.used += asked
        self.answered += replies

    def rest(self) -> Request:
        """The request for those that nobody was asked for yet."""
        self.file.write_text("\n".join(self.texts[self.used :]))
        return self.request

    def redeemed(self) -> int:
        """How many are, as the database says."""
        engine = open_engine(self.database)
        with engine.connect() as connection:
            query = select(func.count()).select_from(tables.codes).where(tables.codes.c.redeemed_at.is_not(None))
            found: int = connection.execute(query).scalar_one()
        engine.dispose()
        return found


def made(doorward: Doorward, database: str, number: int, **client: str) -> Codes:
    """So many codes of a confidential client that gets refresh tokens too, for a hundred users."""
    app = doorward.make(
        "clients", account="acme", name=f"books {secrets.token_hex(4)}", api=doorward.first_api, scope=SCOPE,
        grant_types=["authorization_code", "refresh_token"], redirect_uris=[CALLBACK], **client,
    )  # fmt: skip
    texts = [secrets.token_urlsafe(32) for _ in range(number)]
    _fill(database, app["client_id"], texts)
    form = {
        "grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
    }  # fmt: skip
    file = doorward.data_dir.parent / "codes.txt"
    request = Request(
        "redeem a code", doorward.child, f"{doorward.url}/oauth/token", '"refresh_token":"',
        body=f"{urlencode(form)}&code=", authorization=basic(app["client_id"], app["client_secret"]),
        fresh=True, endings=str(file),
    )  # fmt: skip
    return Codes(database, request, file, texts)


def _fill(database: str, client_id: str, texts: list[str]) -> None:
    """By the events' own path: the writer commits them as it commits a worker's."""
    engine = open_engine(database)
    of_client = select(tables.grants.c.api_id).where(tables.grants.c.client_id == client_id).limit(1)
    with engine.connect() as connection:
        memory = Memory(journal.read_head(connection).position)
        api_id = connection.execute(of_client).scalar_one()
    writer, now = Writer(engine, memory, _settle), int(time.time())
    happened = [*_people(now), *_visits(client_id, api_id, texts, now)]
    for begin in range(0, len(happened), BATCH):
        reached = writer.reached
        appends = [Append(one, reached, frozenset(), Context("bench"), now) for one in happened[begin : begin + BATCH]]
        for _, problem in writer.commit(appends):
            if problem is not None:
                raise problem
    engine.dispose()


def _settle(outcomes: list[Outcome]) -> None:
    """Nobody waits for this writer's thread, which never runs."""


def _people(now: int) -> Iterator[tuple[Event, ...]]:
    """Each user signed in, with one session."""
    for number in range(USERS):
        name = f"reader-{now}-{number}"
        user = User(name, name, name, f"{name}@example.com", True, "A Reader", "active", "user", {}, now, now)
        session = Session(
            f"session-{name}",
            secrets.token_hex(32),
            name,
            now,
            ("pwd",),
            "1",
            now,
            now + LIFETIME,
            "bench",
            "127.0.0.1",
        )
        yield people.UserCreated(user), people.SessionStarted(session)


def _visits(client_id: str, api_id: str, texts: list[str], now: int) -> Iterator[tuple[Event, ...]]:
    """What a user allowed, and the code for it."""
    scope = frozenset(SCOPE.split())
    for number, text in enumerate(texts):
        name = f"reader-{now}-{number % USERS}"
        grant = Grant(
            f"grant-{secrets.token_hex(8)}", client_id, api_id, scope, now, user_id=name,
            session_id=f"session-{name}", auth_time=now, acr="1",
        )  # fmt: skip
        code = Code(
            hashlib.sha256(text.encode()).hexdigest(), client_id, name, f"session-{name}", grant.id, CALLBACK,
            CHALLENGE, scope, api_id, None, {}, now, "1", now, now + LIFETIME,
        )  # fmt: skip
        yield (authorization.CodeIssued(grant, code),)
