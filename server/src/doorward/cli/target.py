"""Whom a command speaks to: a data directory in this process, or a server over HTTPS.

`--data-dir` and `--config` mean the first, `--url` and `--profile` the second; then DOORWARD_URL and
DOORWARD_PROFILE; then the data directory of the settings (./doorward-data), if it is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from doorward.cli.failure import NOT_AUTHENTICATED, USAGE, Failure

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ADMIN_KEY = "DOORWARD_ADMIN_KEY"
_PROFILE_KEYS = frozenset(("url", "admin_key", "admin_key_file", "ca_file"))


@dataclass(frozen=True, slots=True)
class Local:
    data_dir: Path | None = None
    config: Path | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    url: str
    admin_key: str = field(repr=False)
    ca_file: Path | None = None


def choose(flags: Mapping[str, Any], environment: Mapping[str, str], *, start_here: bool = False) -> Local | Remote:
    """`start_here`: where there is nothing yet, a new data directory is meant."""
    local = Local(flags.get("data_dir"), flags.get("config"))
    url, profile = flags.get("url"), flags.get("profile")
    if (local != Local()) + bool(url) + bool(profile) > 1:
        raise Failure("give one of --data-dir (or --config), --url and --profile", exit_code=USAGE)
    if local != Local():
        return local
    if profile:
        return _from_profile(profile, environment)
    if url or environment.get("DOORWARD_URL"):
        return _remote({"url": url or environment["DOORWARD_URL"]}, environment)
    if environment.get("DOORWARD_PROFILE"):
        return _from_profile(environment["DOORWARD_PROFILE"], environment)
    if start_here or _data_dir().is_dir():
        return local
    raise Failure(
        "there is no server and no data directory to speak to",
        "start a server here, which makes ./doorward-data: doorward serve",
        "name a data directory: doorward --data-dir DIR ...",
        f"name a server: DOORWARD_URL=https://auth.example.com and {ADMIN_KEY}",
        exit_code=NOT_AUTHENTICATED,
    )


def _data_dir() -> Path:
    from doorward.settings import load

    return load().data_dir


def _from_profile(name: str, environment: Mapping[str, str]) -> Remote:
    import tomllib

    home = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    path = Path(home) / "doorward" / "profiles.toml"
    try:
        profiles = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        reason = (error.strerror or "unknown").lower()
        raise Failure(f"the profiles cannot be read from {path}: {reason}", exit_code=USAGE) from None
    except ValueError:
        raise Failure(f"{path} is not TOML", exit_code=USAGE) from None
    profile = profiles.get(name)
    if not isinstance(profile, dict) or not isinstance(profile.get("url"), str):
        raise Failure(f"{path} has no [{name}] with a url", exit_code=USAGE)
    unknown = set(profile) - _PROFILE_KEYS
    if unknown:
        raise Failure(f"[{name}] in {path} has an unknown key: {min(unknown)}", exit_code=USAGE)
    if "admin_key" in profile and path.stat().st_mode & 0o077:
        raise Failure(f"{path} holds a key and is open to others: chmod 600 {path}", exit_code=USAGE)
    return _remote(profile, environment)


def _remote(named: Mapping[str, Any], environment: Mapping[str, str]) -> Remote:
    url = address(str(named["url"]))
    ca_file = named.get("ca_file") or environment.get("DOORWARD_CA_FILE")
    if ca_file and not Path(ca_file).is_file():
        raise Failure(f"the CA file {ca_file} is not there", exit_code=USAGE)
    return Remote(url, _admin_key(named, environment), Path(ca_file).absolute() if ca_file else None)


def address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or parts.username is not None or {"?", "#"} & set(url):
        raise Failure(f"{url} is no address of a server: https://auth.example.com is", exit_code=USAGE)
    if parts.scheme == "http" and host not in LOOPBACK:
        raise Failure(
            f"{url} would send the admin key in the clear",
            f"use https: https://{parts.netloc}",
            "make a tunnel and name its end on this machine: http://localhost:PORT",
            "run the command beside the server: doorward --data-dir DIR ...",
            exit_code=USAGE,
        )
    return url.rstrip("/")


def _admin_key(named: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    own = "admin_key" in named or "admin_key_file" in named
    given = named if own else {k: environment.get(f"DOORWARD_{k.upper()}") for k in ("admin_key", "admin_key_file")}
    key, file = given.get("admin_key"), given.get("admin_key_file")
    if not key and file:
        try:
            key = Path(file).read_text("ascii").strip()
        except (OSError, ValueError):
            raise Failure(f"the admin key cannot be read from {file}", exit_code=NOT_AUTHENTICATED) from None
    if key and re.fullmatch(r"[!-~]+", key):
        return str(key)
    raise Failure(
        "the admin key is malformed" if key else f"a server was named, but no admin key: {ADMIN_KEY} is not set",
        f"set {ADMIN_KEY}, or {ADMIN_KEY}_FILE to a file that holds it",
        "make one beside the server: doorward --data-dir DIR admin-keys create NAME",
        "put url, admin_key_file and ca_file into a profile, and choose it with --profile",
        exit_code=NOT_AUTHENTICATED,
    )
