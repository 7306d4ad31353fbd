"""What a journal knows of the time after a backup: what must not come back with it.

{"seq": 1042, "at": 1795467600, "type": "ApiKeyRevoked", "entity": "api_key", "entity_id": "key_8sK2...", "data": {...}}

A journal tells what was done to a thing, and not what the thing became: what was ended ends again, and what was changed
in any other way is held until an administrator has seen it. Sessions, grants of users and tokens are over in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
Ref = tuple[str, str]
HELD = "held"
# Of lines that were chosen from a journal.
EXCERPT = "excerpt"
# Of these kinds there is a state that can be held.
KINDS = ("api_key", "client", "verifier", "admin_key", "user")


@dataclass(frozen=True, slots=True)
class Replay:
    """`states` are those that things by kind and id must have; `secrets` and `grants` ended; `until` is how far it
    goes. `apis` were changed, which only a person can do again."""

    until: int
    states: Mapping[Ref, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    grants: frozenset[str] = frozenset()
    apis: frozenset[str] = frozenset()


class NotThisJournal(Exception):  # noqa: N818  an answer
    """What was given is not the journal of this deployment from the backup on."""


def read(entries: Iterable[Entry], known: Entry | None) -> Replay:
    """Of entries in their order. `known` is the last change in the backup: a journal that goes on from it has it, too.

    Where no more is known of it than its number, that must do. Raises NotThisJournal.
    """
    made = _Made()
    since = 0 if known is None else int(known["seq"])
    met = known is None
    last = 0
    for entry in entries:
        seq = _seq(entry, last)
        last = seq
        if known is not None and seq == since:
            met = _same(entry, known)
        if seq > since:
            if not met:
                break
            made.read(entry)
    if not met:
        raise NotThisJournal("it does not hold the last change that the backup knows")
    return Replay(max(last, since), made.states, frozenset(made.secrets), frozenset(made.grants), frozenset(made.apis))


def _seq(entry: Entry, last: int) -> int:
    seq, type_ = entry.get("seq"), entry.get("type")
    if not isinstance(seq, int) or seq <= last or not isinstance(entry.get("data"), Mapping):
        raise NotThisJournal("it is out of order, or not lines of a journal")
    if EXCERPT in entry:
        raise NotThisJournal("it was exported with --type, --entity or --until, and lacks what these left out")
    if type_ not in TOLD:
        raise NotThisJournal("a newer version of Doorward wrote it")
    return seq


def _same(entry: Entry, known: Entry) -> bool:
    return all(entry.get(name) == known[name] for name in ("at", "type", "entity_id") if name in known)


@dataclass(slots=True)
class _Made:
    states: dict[Ref, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    grants: set[str] = field(default_factory=set)
    apis: set[str] = field(default_factory=set)

    def read(self, entry: Entry) -> None:
        tell = TOLD[entry["type"]]
        if tell is None:
            return
        try:
            tell(self, entry)
        except (KeyError, TypeError):
            raise NotThisJournal("a line lacks what its type tells") from None

    def put(self, kind: str, id_: str, state: str) -> None:
        """What has ended stays ended; what was put into another state is in that one."""
        if self.states.get((kind, id_)) not in ENDED:
            self.states[(kind, id_)] = state


Tell = Callable[[_Made, Entry], None]
ENDED = ("revoked", "deleted")


def _state(made: _Made, entry: Entry) -> None:
    """The state that it had then; one that was good was changed in what is not told."""
    state = entry["data"].get("state")
    made.put(entry["entity"], entry["entity_id"], HELD if state in ("active", None) else str(state))


def _account(made: _Made, entry: Entry) -> None:
    """An account that was resumed is resumed by hand."""
    if entry["data"].get("state") != "active":
        made.put("account", entry["entity_id"], str(entry["data"].get("state")))


def _ended(made: _Made, entry: Entry) -> None:
    made.put(entry["entity"], entry["entity_id"], "revoked")


def _deleted(made: _Made, entry: Entry) -> None:
    made.put(entry["entity"], entry["entity_id"], "deleted")


def _held(made: _Made, entry: Entry) -> None:
    made.put(entry["entity"], entry["entity_id"], HELD)


def _secret(made: _Made, entry: Entry) -> None:
    made.secrets.add(entry["data"]["secret"])


def _rotated(made: _Made, entry: Entry) -> None:
    """The new secret is lost with what came after the backup, and the old one must not come back."""
    made.secrets.update(entry["data"]["retired"])


def _restored(made: _Made, entry: Entry) -> None:
    made.secrets.add(entry["data"]["withdrawn"])
    made.secrets.discard(entry["data"]["restored"])


def _grant(made: _Made, entry: Entry) -> None:
    made.grants.add(entry["entity_id"])


def _less(made: _Made, entry: Entry) -> None:
    """A grant of a client's own that was changed; those of users are over."""
    if entry["data"].get("user_id") is None:
        made.put("client", str(entry["data"].get("client_id")), HELD)


def _of_user(made: _Made, entry: Entry) -> None:
    made.put("user", entry["entity_id"], HELD)


def _api(made: _Made, entry: Entry) -> None:
    made.apis.add(entry["data"].get("api") or entry["entity_id"])


# What each event of the journal means for a backup that is older; nothing for what is over, or was made after it.
TOLD: Mapping[str, Tell | None] = {
    "ApiKeyUpdated": _state, "ApiKeyRevoked": _ended, "ApiKeyExpired": _ended, "ApiKeySecretRevoked": _secret,
    "ApiKeyRotated": _rotated, "ApiKeyRotationCancelled": _restored, "ApiKeyOverlapBegun": None, "ApiKeyCreated": None,
    "ApiKeyRehashed": None, "ApiKeySelfMade": None, "ApiKeySeen": None,
    "ClientUpdated": _state, "ClientDeleted": _deleted, "ClientSecretRevoked": _secret, "ClientSecretRotated": _rotated,
    "ClientRotationCancelled": _restored, "ClientOverlapBegun": None, "ClientCreated": None,
    "GrantCreated": None, "GrantChanged": _less, "GrantRevoked": _grant, "GrantTokensRevoked": None,
    "VerifierCreated": None, "VerifierRevoked": _ended, "VerifierSecretRevoked": _secret,
    "VerifierSecretRotated": _rotated, "VerifierRotationCancelled": _restored, "VerifierOverlapBegun": None,
    "AdminKeyCreated": None, "AdminKeyRevoked": _ended,
    "AccountCreated": None, "AccountUpdated": _account,
    "ApiCreated": None, "ApiUpdated": _api, "ApiDeleted": _api, "LegacyTurned": _api, "RoutesChanged": _api,
    "UserCreated": None, "UserUpdated": _state, "PasswordChanged": _of_user, "ResetLinkCreated": None,
    "MembershipCreated": None, "MembershipChanged": _of_user, "MembershipDeleted": _of_user,
    "IdentityAdded": None, "IdentityClaimed": _of_user, "IdentityRemoved": _of_user,
    "UpstreamSignInBegun": None, "UpstreamSignInEnded": None,
    "SessionStarted": None, "SessionEnded": None, "LogoutTokenDelivered": None, "LogoutTokenUndelivered": None,
    "AuthorizationRequested": None, "AuthorizationDenied": None, "CodeIssued": None, "CodeRedeemed": None,
    "RefreshTokenIssued": None, "RefreshTokenRotated": None, "AccessTokenIssued": None, "TokenRevoked": None,
    "EverythingRevoked": None, "CredentialRefused": None,
    "SigningKeyCreated": None, "SigningKeyActivated": None, "SigningKeyRetired": None, "SigningKeyRemoved": None,
    "SigningKeyResealed": None, "SecretsRotated": None,
    "SetupLinkCreated": None, "SetupLinkUsed": None,
    "LeakReported": None, "LeakUpdated": None, "DecoyTried": None,
    # What was restored before is in the backup; what was resumed since then was changed.
    "DeploymentRestored": None, "VerifierResumed": _held, "AdminKeyResumed": _held,
}  # fmt: skip
