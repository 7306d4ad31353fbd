"""Every table. Column names are the entities' field names; `column_types` turns rows into values and back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    false,
    func,
)

from doorward.protocol.limit import ApiLimit
from doorward.store.column_types import Limits, Lines, Objects, ScopeText, Words

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(*more: Any) -> Column[str]:
    return Column("id", String(200), *more, primary_key=True)


def _at(name: str, *, nullable: bool = False, index: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, index=index or None)


def _version() -> Column[int]:
    return Column("version", Integer, nullable=False)


def _text(name: str, *more: Any, nullable: bool = False, **options: Any) -> Column[str]:
    return Column(name, Text, *more, nullable=nullable, **options)


def _json(name: str) -> Column[Any]:
    return Column(name, JSON, nullable=False)


apis = Table(
    "apis", metadata, _id(), _text("identifier", unique=True), _text("name"), _json("scopes"),
    _text("token_format"), Column("token_lifetime", Integer, nullable=False), _text("signing_algorithm"),
    _json("claims"), _at("created_at"), _at("updated_at"), _version(),
    Column("status_list", Boolean, nullable=False, server_default=false()),
    Column("limits", Limits(ApiLimit), nullable=False, server_default="[]"),
    Column("legacy", Boolean, nullable=False, server_default=false()),
    Column("self_service", ScopeText, nullable=False, server_default=""),
    Column("transports", Words, nullable=False, server_default="bearer header"),
    Column("browsers", Text, nullable=False, server_default="flag"),
    _at("unused_key_lifetime", nullable=True), _at("key_lifetime_limit", nullable=True),
    _at("key_policy_at", nullable=True),
    Column("routes", Objects, nullable=False, server_default="[]"),
)  # fmt: skip

# Apis are named in any case.
Index("uq_apis_name", func.lower(apis.c.name), unique=True)

accounts = Table(
    "accounts", metadata, _id(), _text("name"), _text("state"), _json("metadata"),
    _at("created_at"), _at("updated_at"), _version(), Column("limits", Limits, nullable=False, server_default="[]"),
)  # fmt: skip

api_keys = Table(
    "api_keys", metadata, _id(), _text("account_id", ForeignKey("accounts.id"), index=True),
    _text("api_id", ForeignKey("apis.id"), index=True), _text("name"), _text("environment"),
    Column("scope", ScopeText, nullable=False), _text("state"), _at("expires_at", nullable=True, index=True),
    _json("metadata"), _at("created_at"), _at("updated_at"), _at("revoked_at", nullable=True), _version(),
    Column("networks", Words, nullable=False, server_default=""),
    Column("limits", Limits, nullable=False, server_default="[]"), _text("user_id", nullable=True, index=True),
    _at("seen_in_url_at", nullable=True), _at("seen_in_browser_at", nullable=True),
)  # fmt: skip

secrets = Table(
    "secrets", metadata, _id(), _text("kind"), _text("environment"), _text("owner_id", index=True),
    Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", SmallInteger, nullable=False), _at("created_at"),
    _at("expires_at", nullable=True), _at("revoked_at", nullable=True), _at("superseded_at", nullable=True),
    _at("overlap", nullable=True), _text("legacy", nullable=True), _text("bcrypt", nullable=True),
)  # fmt: skip

# Imported secrets that are known by a slow hash alone are found by the public beginning of their texts.
_is_imported = secrets.c.legacy.is_not(None)
Index("ix_secrets_legacy", secrets.c.legacy, sqlite_where=_is_imported, postgresql_where=_is_imported)

clients = Table(
    "clients", metadata, _id(), _text("account_id", ForeignKey("accounts.id"), index=True), _text("name"),
    Column("grant_types", Words, nullable=False), _text("token_endpoint_auth_method", nullable=True),
    _text("state"), _json("metadata"), _at("created_at"), _at("updated_at"), _version(),
    Column("redirect_uris", Words, nullable=False, server_default=""),
    Column("post_logout_redirect_uris", Words, nullable=False, server_default=""),
    Column("first_party", Boolean, nullable=False, server_default=false()),
    Column("localhost_any_port", Boolean, nullable=False, server_default=false()),
    _text("client_uri", nullable=True), _text("logo_uri", nullable=True),
    _text("id_token_signed_response_alg", server_default="RS256"), _text("backchannel_logout_uri", nullable=True),
    Column("backchannel_logout_session_required", Boolean, nullable=False, server_default=false()),
)  # fmt: skip

grants = Table(
    "grants", metadata, _id(), _text("client_id", ForeignKey("clients.id"), index=True),
    _text("api_id", ForeignKey("apis.id"), nullable=True, index=True), Column("scope", ScopeText, nullable=False),
    _at("created_at"), _at("revoked_at", nullable=True), _version(),
    # Whose they are needs no foreign key: neither users nor sessions' ids nor accounts are ever deleted.
    _text("user_id", nullable=True, index=True), _text("account_id", nullable=True, index=True),
    _text("session_id", nullable=True, index=True), _at("auth_time", nullable=True), _text("acr", nullable=True),
    Column("claims", JSON, nullable=False, server_default="{}"), _at("tokens_revoked_at", nullable=True),
)  # fmt: skip

# Grants that can never act again are looked for by these (`housekeeping.py`).
_has_ended = grants.c.revoked_at.is_not(None)
Index("ix_grants_revoked_at", grants.c.revoked_at, sqlite_where=_has_ended, postgresql_where=_has_ended)
Index("ix_grants_created_at", grants.c.created_at)

authorization_requests = Table(
    "authorization_requests", metadata, _id(), _text("digest"), _text("client_id"), _text("address", index=True),
    _json("asked"), _text("session_id", nullable=True), _at("created_at"), _at("expires_at", index=True),
    _at("ended_at", nullable=True),
)  # fmt: skip

codes = Table(
    "codes", metadata, Column("digest", String(64), primary_key=True), _text("client_id"), _text("user_id"),
    _text("session_id"), _text("grant_id"), _text("redirect_uri"), _text("code_challenge"),
    Column("scope", ScopeText, nullable=False), _text("api_id", nullable=True), _text("nonce", nullable=True),
    _json("claims"), _at("auth_time"), _text("acr"), _at("created_at"), _at("expires_at", index=True),
    _at("redeemed_at", nullable=True),
)  # fmt: skip

refresh_tokens = Table(
    "refresh_tokens", metadata, _id(), Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", SmallInteger, nullable=False), _text("grant_id", index=True), _text("client_id"),
    Column("scope", ScopeText, nullable=False), _at("created_at"), _at("expires_at", index=True), _at("ends_at"),
    _at("rotated_at", nullable=True), _text("successor_id", nullable=True),
    Column("successor", LargeBinary, nullable=True),
)  # fmt: skip

verifiers = Table(
    "verifiers", metadata, _id(), _text("api_id", ForeignKey("apis.id"), index=True), _text("name"),
    _text("state"), _at("created_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

admin_keys = Table(
    "admin_keys", metadata, _id(), _text("name"), Column("scope", ScopeText, nullable=False), _text("owner"),
    Column("networks", Words, nullable=False, default=()), _text("state"), _at("expires_at", nullable=True),
    _at("created_at"), _at("revoked_at", nullable=True), _version(),
)  # fmt: skip

signing_keys = Table(
    "signing_keys", metadata, _id(), _text("algorithm"), _text("state"), _json("public_jwk"),
    Column("private_key", LargeBinary, nullable=False), _at("created_at"),
    _at("activated_at", nullable=True), _version(), _text("purpose", server_default="token"),
    _at("retired_at", nullable=True), _at("removed_at", nullable=True),
)  # fmt: skip

# For each use of a key there is one that signs, and one spare.
_stands = signing_keys.c.state.in_(("active", "pending"))
Index(
    "uq_signing_keys_standing", signing_keys.c.purpose, signing_keys.c.algorithm, signing_keys.c.state, unique=True,
    sqlite_where=_stands, postgresql_where=_stands,
)  # fmt: skip

opaque_tokens = Table(
    "opaque_tokens", metadata, _id(), Column("mac", LargeBinary, nullable=False, unique=True),
    Column("pepper_version", SmallInteger, nullable=False), _text("grant_id"), _text("client_id"),
    _text("account_id"), _text("api_id"), _json("claims"), _at("created_at"), _at("expires_at", index=True),
    _at("revoked_at", nullable=True),
)  # fmt: skip

revoked_tokens = Table(
    "revoked_tokens", metadata, _id(), _at("expires_at", index=True), _at("revoked_at"),
)  # fmt: skip

# `leased` counts the blocks of indexes that were handed out, and `key` tells which indexes a block has.
status_lists = Table(
    "status_lists", metadata,
    # SQLite would use the number of the last list again, once that is gone.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True), _at("expires_at", index=True),
    Column("epoch", Integer, nullable=False), Column("key", LargeBinary, nullable=False),
    Column("leased", Integer, nullable=False), _at("created_at"), sqlite_autoincrement=True,
)  # fmt: skip

# JWTs that have a bit in a status list, by `jti`; `position` is the `seq` of the facts that each was issued by.
listed_tokens = Table(
    "listed_tokens", metadata, _id(), Column("list_id", BigInteger, nullable=False),
    Column("idx", Integer, nullable=False), _text("grant_id", index=True), _text("client_id", index=True),
    _text("account_id", index=True), _text("signing_key_id"), Column("position", BigInteger, nullable=False),
    _at("expires_at", index=True),
)  # fmt: skip

Index("uq_listed_tokens_idx", listed_tokens.c.list_id, listed_tokens.c.idx, unique=True)

# What verifiers hear, by the journal row that caused it; an audience is an api's id, the issuer, or empty for all.
revocation_entries = Table(
    "revocation_entries", metadata, Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("audience", String(200), primary_key=True), Column("kind", String(32), primary_key=True),
    Column("value", String(200), primary_key=True), _text("effect"), _at("expires_at", index=True),
)  # fmt: skip

Index("ix_revocation_entries_audience", revocation_entries.c.audience, revocation_entries.c.seq)
Index("ix_revocation_entries_value", revocation_entries.c.value, revocation_entries.c.kind)

setup_links = Table(
    "setup_links", metadata, Column("digest", String(64), primary_key=True), _at("expires_at"),
    _at("created_at"), _at("used_at", nullable=True),
)  # fmt: skip

users = Table(
    "users", metadata, _id(), _text("username"), _text("canonical", unique=True),
    _text("email", nullable=True, index=True), Column("email_verified", Boolean, nullable=False), _text("name"),
    _text("state"), _text("role"), _json("profile"), _at("created_at"), _at("updated_at"), _version(),
)  # fmt: skip

passwords = Table(
    "passwords", metadata, Column("user_id", String(200), ForeignKey("users.id"), primary_key=True), _text("phc"),
    _at("changed_at"),
)  # fmt: skip

memberships = Table(
    "memberships", metadata, _id(), _text("user_id", ForeignKey("users.id")),
    _text("account_id", ForeignKey("accounts.id"), index=True), _text("role"), _at("created_at"), _version(),
)  # fmt: skip

Index("uq_memberships_user_id", memberships.c.user_id, memberships.c.account_id, unique=True)

sessions = Table(
    "sessions", metadata, _id(), Column("digest", String(64), nullable=False, unique=True),
    _text("user_id", ForeignKey("users.id"), index=True), _at("auth_time"), Column("amr", Words, nullable=False),
    _text("acr"), _at("created_at"), _at("expires_at", index=True), _text("user_agent"), _text("address"),
    _at("ended_at", nullable=True),
)  # fmt: skip

# When a session was last seen; what is idle for too long is refused when it is used, not when it is swept.
session_uses = Table(
    "session_uses", metadata, _id(), _at("last_seen_at"), _at("expires_at", index=True),
)  # fmt: skip

# Clients that have yet to hear that a session ended (OpenID Connect Back-Channel Logout).
logout_deliveries = Table(
    "logout_deliveries", metadata, Column("session_id", String(200), primary_key=True),
    Column("client_id", String(200), primary_key=True), _text("user_id"), _at("created_at"),
    _at("next_at", index=True), Column("attempts", Integer, nullable=False),
)  # fmt: skip

reset_links = Table(
    "reset_links", metadata, Column("digest", String(64), primary_key=True),
    _text("user_id", ForeignKey("users.id"), index=True), _at("expires_at", index=True), _at("created_at"),
    _at("used_at", nullable=True),
)  # fmt: skip

# Logins elsewhere that are users' here; without a subject an invitation. Addresses are looked for whatever their case.
identities = Table(
    "identities", metadata, _id(), _text("user_id", ForeignKey("users.id"), index=True), _text("issuer"),
    _text("subject", nullable=True), _text("email", nullable=True), _at("created_at"),
    _at("expires_at", nullable=True),
)  # fmt: skip

Index("uq_identities_subject", identities.c.issuer, identities.c.subject, unique=True)
Index("ix_identities_email", func.lower(identities.c.email))
Index("ix_users_email_lower", func.lower(users.c.email))

# Browsers that are signing in elsewhere; `proof` is of what may be shown once.
upstream_sign_ins = Table(
    "upstream_sign_ins", metadata, _id(), _text("upstream"), _text("digest"), _text("request_id"),
    _text("address", index=True), Column("max_age", BigInteger, nullable=True), _at("created_at"),
    _at("expires_at", index=True), _at("ended_at", nullable=True), _text("proof", nullable=True, unique=True),
)  # fmt: skip

# How often somebody tried to sign in, by the digest of what is counted: an account, an address, a password.
attempts = Table(
    "attempts", metadata, Column("key", String(64), primary_key=True), Column("count", Integer, nullable=False),
    _at("next_at"), _at("expires_at", index=True),
)  # fmt: skip

# A secret of ours that was found somewhere; its id is made of the secret's public id, so that it is reported once.
leaks = Table(
    "leaks", metadata, _id(), _text("credential"), _text("credential_id"), _text("owner_id", index=True),
    _text("account_id", nullable=True, index=True), _text("outcome"), _text("origin"),
    Column("locations", Lines, nullable=False), _at("created_at"), _at("updated_at", index=True), _version(),
)  # fmt: skip

# What somebody must be told by which channel, and when it is tried next; `id` names what it is about. Told ones stay
# for a while, so that the same is not told again and again.
notices = Table(
    "notices", metadata, _id(), Column("channel", String(20), primary_key=True), _text("kind"), _at("at"),
    _at("due_at", nullable=True, index=True), Column("tries", Integer, nullable=False), _at("expires_at", index=True),
)  # fmt: skip

# How far work that follows the time has come, whoever does it: what lies behind `reached` is done.
schedules = Table(
    "schedules", metadata, Column("name", String(64), primary_key=True), _at("reached"),
)  # fmt: skip

idempotency = Table(
    "idempotency", metadata, Column("key", String(64), primary_key=True), _text("request"),
    Column("reply", LargeBinary, nullable=False), _at("expires_at", index=True),
)  # fmt: skip

# One row: `fingerprint` tells whether master key and pepper are those that the rows were made with (decision 22).
# `closed` says why nobody may serve the database, and `compatible_from` the oldest revision whose nodes may.
deployment = Table(
    "deployment", metadata, Column("id", Integer, primary_key=True, autoincrement=False), _text("fingerprint"),
    _at("created_at"), _text("closed", nullable=True), _text("compatible_from", nullable=True),
)  # fmt: skip

# How often an api key, a secret of it, an account, or the tokens of a grant, were used.
usage = Table(
    "usage", metadata, Column("kind", String(32), primary_key=True), Column("id", String(200), primary_key=True),
    Column("uses", BigInteger, nullable=False), _at("last_used_at"), _text("address", server_default=""),
    _text("user_agent", server_default=""), Column("late_uses", BigInteger, nullable=False, server_default="0"),
)  # fmt: skip

# The same of api keys and accounts by hour (`at` is its beginning) and result, for as long as anybody looks at it.
usage_hours = Table(
    "usage_hours", metadata, Column("kind", String(32), primary_key=True), Column("id", String(200), primary_key=True),
    Column("at", BigInteger, primary_key=True, index=True), Column("result", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
)  # fmt: skip

# A bounded ring: what the public text of a refusal leaves out, by request id (decision 23).
refusal_details = Table(
    "refusal_details", metadata, _id(), _at("at", index=True), _text("reason"), _text("actor"), _text("method"),
    _text("path"), _text("detail"),
)  # fmt: skip

# One row. `seq` counts journal rows, `change_seq` is the last of them that makes older facts stale.
journal_head = Table(
    "journal_head", metadata, Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False), Column("seq", BigInteger, nullable=False),
    Column("change_seq", BigInteger, nullable=False),
)  # fmt: skip


def _ledger(name: str) -> Table:
    """On PostgreSQL in parts by `seq`, each dropped whole (`partitions.py`)."""
    return Table(
        name, metadata, Column("seq", BigInteger, primary_key=True, autoincrement=False), _at("at"),
        Column("change", Boolean, nullable=False), _text("type"), _text("entity"), _text("entity_id"),
        _text("actor"), _text("request_id"), _text("data"), postgresql_partition_by="RANGE (seq)",
    )  # fmt: skip


journal = _ledger("journal")
# What comes with every token that is asked for; `seq` counts on through both.
token_records = _ledger("token_records")

# Up to `seq` a ledger is pruned: of `count` rows behind the checkpoint before it. `digest` is of their archive.
checkpoints = Table(
    "checkpoints", metadata, Column("ledger", String(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False), _at("at"),
    Column("count", BigInteger, nullable=False), _text("digest", nullable=True),
)  # fmt: skip

Index("ix_journal_changes", journal.c.seq, sqlite_where=journal.c.change, postgresql_where=journal.c.change)

# One row for each worker of each node, as it was last seen; decides nothing.
nodes = Table(
    "nodes", metadata, _id(), _text("name"), Column("worker", Integer, nullable=False), _text("instance"),
    _text("version"), _text("schema_revision"), _text("authority"), _text("state"), _at("created_at"), _at("seen_at"),
    Column("epoch", BigInteger, nullable=False), Column("seq", BigInteger, nullable=False),
    Column("lag_events", BigInteger, nullable=False), Column("lag_seconds", BigInteger, nullable=False),
    Column("verifiers", BigInteger, nullable=False), Column("clock_skew", BigInteger, nullable=False),
)  # fmt: skip

# What was used of a limit: of a rate the arrival time of the next use in nanoseconds, of a quota a count. Of a rate
# so much is lent to workers in a turn of the clock, and so much was in the one before.
limit_cells = Table(
    "limit_cells", metadata, _id(), Column("value", BigInteger, nullable=False), _at("expires_at", index=True),
    Column("turn", BigInteger, nullable=False, server_default="0"),
    Column("lent", BigInteger, nullable=False, server_default="0"),
    Column("lent_before", BigInteger, nullable=False, server_default="0"),
)  # fmt: skip
