"""`[audit]` in doorward.toml: how long the audit log is kept, and where it goes then.

[audit]
retention = 400
token_records = 24
archive = "/var/lib/doorward-audit"
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class AuditSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    retention: int = Field(
        default=400,
        ge=0,
        le=36_500,
        description="Days that it is kept: a year, and time to look back at its end. 0: for ever.",
    )
    token_records: int = Field(
        default=24,
        ge=1,
        le=876_000,
        description="Hours that it has who asked for a token, and got one: most of all there is.",
    )
    archive: Path | None = Field(
        default=None,
        description="A directory, the same one of all nodes, that gets all of it as JSON lines before it is removed.",
    )
