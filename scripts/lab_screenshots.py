"""Make the pictures of docs/lab.md from a report of ``no502 lab --html``, the argument. Needs chromium."""

import subprocess
import sys
import tempfile
from pathlib import Path

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SCHEMES = {"light": 1, "dark": 0}  # of chromium's setting preferredColorScheme


def main() -> None:
    """Write one picture for each colour scheme."""
    report = Path(sys.argv[1]).resolve()
    for name, number in SCHEMES.items():
        target = PICTURES / f"lab-report-{name}.png"
        with tempfile.TemporaryDirectory() as profile:
            command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
            command += ["--window-size=1200,830", f"--blink-settings=preferredColorScheme={number}"]
            command += [f"--user-data-dir={profile}", f"--screenshot={target}", report.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        print(target)


if __name__ == "__main__":
    main()
