"""The README's commands, and the output of its demonstration: `python -m tests.end_to_end.readme` writes it anew."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
OUTPUT = re.compile(r"(<!-- demo output -->\n```\n)(.*?)(```\n)", re.DOTALL)


def demo_output() -> str:
    """What `isobit demo` prints; an AssertionError with its errors where it does not end well."""
    command = [sys.executable, "-m", "protocol.cli", "demo", "--threads", "2"]
    done = subprocess.run(command, cwd=README.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def shown_output() -> str:
    """What the README says that it prints."""
    found = OUTPUT.search(README.read_text())
    assert found is not None, "README.md has a block of the demonstration's output"
    return found[2]


def stable(output: str) -> str:
    """The output without what differs from run to run: seconds, and the addresses of the parties."""
    return re.sub(r"0x[0-9a-f]{40}", "ADDRESS", re.sub(r" *\d+\.\d s$", " SECONDS", output, flags=re.MULTILINE))


def command(marker: str) -> str:
    """The one line of shell under a marker."""
    found = re.search(rf"<!-- {marker} -->\n```sh\n([^\n]+)\n```\n", README.read_text())
    assert found is not None, f"README.md has one line of shell under {marker}"
    return found[1]


if __name__ == "__main__":
    output = demo_output()
    README.write_text(OUTPUT.sub(lambda found: found[1] + output + found[3], README.read_text()))
