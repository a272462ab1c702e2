"""A real browser without a window, for pages that are looked at."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["title_after"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 120


def title_after(page: Path, script: str, *, profile: Path, width: int = 390, seconds: int = 0) -> str:
    """Open a copy of a page, run ``script`` in it when it has loaded, and return the document's title then.

    Args:
        page: The page; a copy of it is made beside it.
        script: JavaScript that sets ``document.title``.
        profile: A directory for the browser's own files.
        width: Of the window, in pixels; 390 is a telephone's.
        seconds: How much time of the page, timers included, passes before the title is looked at.
    """
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert program, "this test needs Debian's package chromium, or Chrome"
    copy = page.with_name(f"probe-{width}-{page.name}")
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},844"]
    if seconds:
        flags.append(f"--virtual-time-budget={seconds * 1000}")
    command = [program, *flags, f"--user-data-dir={profile}", "--dump-dom", copy.as_uri()]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    copy.unlink()
    found = re.search(r"<title>(.*?)</title>", seen.stdout, re.DOTALL)
    assert found, seen.stdout[:300] + seen.stderr[-2000:]
    return found[1]
