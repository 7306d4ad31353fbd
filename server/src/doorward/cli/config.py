"""`doorward config`: which settings count and where each came from; and the rotation of master key and pepper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from doorward.cli import output, passphrase
from doorward.cli.admin_api import local_settings, open_data_directory, refusals_told
from doorward.cli.durations import clock
from doorward.cli.failure import FAILED, USAGE, Failure
from doorward.cli.options import Json, noun
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.settings import Settings
    from doorward.web.rotation import Rotated

app = noun(
    "The settings.",
    """
doorward config show
doorward --config /etc/doorward.toml config check
doorward config rotate-master-key
doorward config export-secrets doorward-secrets.json
""",
)


@app.command()
def show(context: typer.Context, json: Json = False) -> None:
    """Show every setting and where it came from."""
    flags = context.find_root().params
    chosen = Local(flags["data_dir"], flags["config"])
    with refusals_told():
        settings = local_settings(chosen)
    origins = _origins(settings, chosen)
    rows = [(name, _shown(settings, name), origins.get(name, "default")) for name in type(settings).model_fields]
    if json:
        output.show_json({name: {"value": value, "origin": origin} for name, value, origin in rows})
        return
    output.table(("SETTING", "VALUE", "FROM"), [(name, _text(value), origin) for name, value, origin in rows])


@app.command()
def check(context: typer.Context, json: Json = False) -> None:
    """Check whether a server would start with these settings."""
    from doorward.refusals import check as refusals_of
    from doorward.settings import StartRefused, load

    flags = context.find_root().params
    try:
        refusals = refusals_of(load({"data_dir": flags["data_dir"]}, flags["config"]))
    except StartRefused as refused:
        refusals = list(refused.refusals)
    if json:
        found = [{"detail": refusal.sentence, "ways_out": list(refusal.ways_out)} for refusal in refusals]
        output.show_json({"good": not refusals, "refusals": found})
    else:
        for refusal in refusals:
            output.say(f"{refusal.sentence[:1].upper()}{refusal.sentence[1:]}. Any one of these is a way out:")
            for number, way in enumerate(refusal.ways_out, 1):
                output.say(f"  {number}. {way}")
        if not refusals:
            output.say("The settings are good: a server would start with them.")
    if refusals:
        raise typer.Exit(FAILED)


@app.command("rotate-master-key")
def rotate_master_key(
    context: typer.Context,
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Forget old ones that nothing needs, instead of making new ones.")
    ] = False,
    write_to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the next ones there, where settings name them.")
    ] = None,
    json: Json = False,
) -> None:
    """Replace the master key and the pepper, while servers run.

    New secrets use the new ones; what was made with the old ones stays good.
    """
    from doorward.web import rotation

    if drop_old and write_to is not None:
        raise Failure("give one of --drop-old and --write-to", exit_code=USAGE)
    flags = context.find_root().params
    chosen = Local(flags["data_dir"], flags["config"])
    with refusals_told():
        settings, data = open_data_directory(chosen)
        try:
            if write_to is not None:
                rotation.write_next(settings, data, write_to)
                _say_written(write_to)
                return
            turn = rotation.drop_old if drop_old else rotation.rotate
            _say_rotated(turn(settings, data), json)
        except rotation.NotOurs:
            raise Failure(NOT_OURS, *WAYS_OUT) from None
        except rotation.StillNeeded as needed:
            raise Failure(f"a kept reply still needs the old master key, until {clock(needed.until)}") from None


@app.command("export-secrets")
def export_secrets(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; keep it apart from the backups.")],
    phrase: Annotated[str | None, typer.Option("--passphrase", metavar="-|@FILE", help=passphrase.OPTION_HELP)] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite it.")] = False,
) -> None:
    """Write master key, pepper and local CA to a file that a passphrase opens.

    No backup can be read without them. `doorward restore --keys FILE` puts them back.
    """
    import time

    from doorward import secrets_export
    from doorward.data_directory import write_private

    if file.exists() and not force:
        raise Failure(f"{file} is there already", "choose another name", "overwrite it: --force")
    flags = context.find_root().params
    with refusals_told():
        settings, data = open_data_directory(Local(flags["data_dir"], flags["config"]))
        held = data.secrets(settings)
    chosen, now = passphrase.new(phrase), int(time.time())
    export = secrets_export.collect(data.path, held)
    write_private(file, secrets_export.seal(export, chosen, settings.issuer, now))
    secrets_export.mark(data.path, held, now)
    output.say(
        f"Wrote the secrets of {settings.issuer} to {file}. Keep it, and the passphrase, apart from the backups."
    )


NOT_OURS = "master key or pepper come from the settings, where Doorward cannot write"
WAYS_OUT = (
    "write the next ones: doorward config rotate-master-key --write-to DIR",
    "put them where the settings of each node name them, and restart the nodes one by one: they hold both then",
    "make them current, on one node: doorward config rotate-master-key",
)


def _say_written(directory: Path) -> None:
    output.say(f"Wrote the secrets that are held and the next ones to {directory}, private to this user.")
    output.say("Put them where the settings of each node name them, and restart the nodes one by one.")
    output.say("Then make them current, on one node: doorward config rotate-master-key")


def _say_rotated(rotated: Rotated, json: bool) -> None:
    current, held = rotated.current, rotated.held
    if json:
        in_use = {str(version): number for version, number in rotated.peppers_in_use.items()}
        output.show_json(
            {
                "master_key_version": current.master_key, "pepper_version": current.pepper,
                "master_keys_held": sorted(held.master_keys), "peppers_held": sorted(held.peppers),
                "secrets_by_older_pepper": in_use,
            }
        )  # fmt: skip
        return
    output.say(f"Master key {current.master_key} and pepper {current.pepper} are current; running servers use them.")
    for version, number in sorted(rotated.peppers_in_use.items()):
        output.say(f"Pepper {version} still checks {number} secrets: it stays until each was rotated or has expired.")
    if len(held.master_keys) > 1:
        output.say("A day from now, forget the old ones: doorward config rotate-master-key --drop-old")
    output.say(
        "Export them apart from the backups (doorward config export-secrets): backups of before need the old ones."
    )


def _origins(settings: Settings, chosen: Local) -> dict[str, str]:
    """The highest source that names a setting is the one that counts."""
    import json
    import tomllib

    from doorward.settings import PREFIX, SERVED_FILE

    file = chosen.config or Path("doorward.toml")
    served = settings.data_dir / SERVED_FILE
    sources: tuple[tuple[str, Mapping[str, Any]], ...] = (
        (f"the last serve ({SERVED_FILE})", json.loads(served.read_text("utf-8")) if served.is_file() else {}),
        (str(file), tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}),
        ("environment", {name.upper().removeprefix(PREFIX).lower().partition("__")[0]: value
                         for name, value in os.environ.items() if value and name.upper().startswith(PREFIX)}),
        ("--data-dir", {"data_dir": chosen.data_dir} if chosen.data_dir else {}),
    )  # fmt: skip
    return {name: origin for origin, values in sources for name in values}


def _shown(settings: Settings, name: str) -> Any:
    """Secrets as the fact that they are set; a database address without what may be a password."""
    value = getattr(settings, name)
    if name in ("master_key", "pepper"):
        return None if value is None else "(set)"
    if name == "database" and not value.startswith("sqlite:"):
        parts = urlsplit(value)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    if name == "upstream":
        return {named: one.model_dump(mode="json", exclude_unset=True) for named, one in value.items()}
    if name == "audit":
        return value.model_dump(mode="json")
    if name == "gateway":
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == [] or value == {}:
        return "-"
    if isinstance(value, dict) and not any(isinstance(one, dict | list) for one in value.values()):
        return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    return ", ".join(value) if isinstance(value, list | dict) else str(value)
