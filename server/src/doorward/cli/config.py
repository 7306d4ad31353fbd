"""`doorward config`: which settings count, where each came from, and whether a server would start with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import typer

from doorward.cli import output
from doorward.cli.admin_api import local_settings, refusals_told
from doorward.cli.failure import FAILED
from doorward.cli.options import Json, noun
from doorward.cli.target import Local

if TYPE_CHECKING:
    from doorward.settings import Settings

app = noun(
    "The settings.",
    """
doorward config show
doorward --config /etc/doorward.toml config check
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
        ("environment", {name.upper().removeprefix(PREFIX).lower(): value for name, value in os.environ.items()
                         if value and name.upper().startswith(PREFIX)}),
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
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == []:
        return "-"
    return ", ".join(value) if isinstance(value, list) else str(value)
