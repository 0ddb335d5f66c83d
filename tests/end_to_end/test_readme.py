"""The README is true: its demonstration prints what it shows, and its commands are single lines."""

from __future__ import annotations

from tests.end_to_end.readme import command, demo_output, shown_output, stable


def test_the_demonstration_prints_what_the_readme_shows() -> None:
    printed = demo_output()
    assert printed.endswith("All of it held.\n")
    assert stable(printed) == stable(shown_output())


def test_the_two_commands_install_and_run_and_install_and_test() -> None:
    assert command("demo command").endswith("isobit demo")
    assert command("test command").endswith("-m pytest -q")
