"""`examples/gateways`: one command, and the example API is behind a gateway; a revoked key is refused there."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import running
from tests.gateways import proxies
from tests.verify.waiting import until

SCRIPT = Path(__file__).parents[2] / "examples" / "gateways" / "behind.py"


@pytest.mark.parametrize(("gateway", "port"), [(name, 21440 + 10 * place) for place, name in enumerate(proxies.REAL)])
def test_one_command_puts_the_api_behind_a_gateway(gateway: str, port: int) -> None:
    with running([sys.executable, str(SCRIPT), gateway, "--port", str(port)], "Ctrl-C ends") as program:
        said = program.output
        (key,) = re.findall(r"Bearer (\S+)'", said)
        trust = ssl.create_default_context(cafile=re.findall(r"--cacert (\S+)", said)[0])

        def ask(where: int, scheme: str = "https") -> tuple[int, Any]:
            request = urllib.request.Request(f"{scheme}://localhost:{where}/invoices")
            request.add_header("Authorization", f"Bearer {key}")
            try:
                with urllib.request.urlopen(request, context=trust, timeout=30) as reply:
                    return reply.status, json.load(reply)
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, json.load(refused)

        status, got = ask(port)
        assert (status, got["account"], len(got["invoices"])) == (200, "acme", 2)
        # Past the gateway the same key opens nothing: it was an assertion that did.
        assert ask(port + 2, "http")[0] == 401
        (revoke,) = re.findall(r"^  (\S+doorward .* keys revoke \S+)$", said, re.MULTILINE)
        subprocess.run(revoke.split(), check=True, capture_output=True)
        until(lambda: ask(port)[0] == 401)
