"""Writes the figures of `make faults` into docs/reliability.md.

Run as ``python -m faults.table FOLDER``.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures of make faults -->\n", "<!-- end of the figures -->\n"
NUMBERS = ("tries", "completed", "equal", "lost", "silent", "said")


def table(folder: Path) -> str:
    """The figures in Markdown, with date and machine."""
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    rows.sort(key=lambda row: (row["fault"], row["command"]))
    lines = [f"| fault | command | {' | '.join(NUMBERS)} |", f"|---|---|{'---:|' * len(NUMBERS)}"]
    for row in rows:
        numbers = " | ".join(str(row.get(name, "")) for name in NUMBERS)
        lines.append(f"| {row['fault']} | {row['command']} | {numbers} |")
    date = datetime.now(UTC).date().isoformat()
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    where = f"`make faults` on {date}, {machine}, Python {platform.python_version()}:"
    return "\n".join([where, "", *lines, ""])


def main() -> None:
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(Path(sys.argv[1]))}\n{END}{after}")


if __name__ == "__main__":
    main()
