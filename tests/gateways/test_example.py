"""`examples/gateways`: one command, and the example API is behind a gateway; the other gateways differ by a line."""

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

from tests.deployment import running

SCRIPT = Path(__file__).parents[2] / "examples" / "gateways" / "behind.py"


PORT = 21440


def test_one_command_puts_the_api_behind_a_gateway() -> None:
    with running([sys.executable, str(SCRIPT), "nginx", "--port", str(PORT)], "Ctrl-C ends") as program:
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

        status, got = ask(PORT)
        assert (status, got["account"], len(got["invoices"])) == (200, "acme", 2)
        # Past the gateway, or in the clear, the same key opens nothing.
        assert ask(PORT + 2, "http")[0] == 401
        assert ask(PORT + 1, "http")[0] == 403
        (revoke,) = re.findall(r"^  (\S+doorward .* keys revoke \S+)$", said, re.MULTILINE)
        subprocess.run(revoke.split(), check=True, capture_output=True)
        assert ask(PORT)[0] == 401
