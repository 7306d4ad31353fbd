"""The service behind the gateways: it takes their assertions alone, and says whom and what it got."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Request

from doorward_verify import Verified, Verifier
from doorward_verify.fastapi import Guard

app = FastAPI()
guard = Guard(Verifier(audience="https://api.example.com"), behind="billing")


@app.get("/invoices")
def invoices(request: Request, caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, Any]:
    return told(request, caller)


@app.post("/invoices")
async def create(request: Request, caller: Annotated[Verified, guard("invoices:write")]) -> dict[str, Any]:
    return {**told(request, caller), "size": len(await request.body())}


@app.get("/public")
def public(request: Request) -> dict[str, Any]:
    return told(request, None)


def told(request: Request, caller: Verified | None) -> dict[str, Any]:
    asserted = (
        None
        if caller is None
        else {"credential": caller.credential, "account": caller.account, "key_id": caller.key_id}
    )
    return {
        "caller": asserted,
        "target": str(request.scope["path"]),
        "headers": [list(one) for one in request.headers.items()],
    }
