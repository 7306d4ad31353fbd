"""An API behind Guard: three lines, and every route says what it needs.

set -a; . ./invoices.env; set +a        # from: doorward verifiers create --api https://api.example.com -o env
uvicorn invoices_api:app --port 8000
"""

import os
from typing import Annotated

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from doorward_verify import Verified, Verifier
from doorward_verify.fastapi import Guard

app = FastAPI(title="Invoices")
# Pages of any origin may call it: nothing that a browser sends by itself opens it, only a token that the page holds.
app.add_middleware(
    CORSMiddleware, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["Authorization"],
    expose_headers=["WWW-Authenticate"],
)  # fmt: skip
# Behind a gateway (examples/gateways) it takes the gateway's assertions instead of credentials.
guard = Guard(Verifier(audience="https://api.example.com"), behind=os.environ.get("INVOICES_BEHIND"))

INVOICES = {
    "acme": [{"number": 1, "amount": "120.00"}, {"number": 2, "amount": "75.50"}],
}


@app.get("/invoices")
def list_invoices(caller: Annotated[Verified, guard("invoices:read")]) -> dict[str, object]:
    return {"account": caller.account, "invoices": INVOICES.get(caller.account or "", [])}


@app.post("/invoices", status_code=201)
def create_invoice(caller: Annotated[Verified, guard("invoices:write")], amount: str) -> dict[str, object]:
    invoices = INVOICES.setdefault(caller.account or "", [])
    invoices.append({"number": len(invoices) + 1, "amount": amount})
    return invoices[-1]
