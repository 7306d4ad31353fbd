"""The examples are tested as their readers would: with the fixtures of doorward_verify.testing."""

pytest_plugins = ["doorward_verify.testing"]
