"""What holds for every test: hypothesis never judges by time, and prints how to see a failure again."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

pytest_plugins = (
    "tests.left_out",
    "tests.chromium",
    "tests.javascript",
    "tests.accessibility",
    "tests.postgresql",
    "tests.valkey",
)

settings.register_profile("doorward", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("doorward")
