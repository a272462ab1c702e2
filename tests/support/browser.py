"""A real browser without a window, for pages that are looked at."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect

from tests.support.polling import wait_until

__all__ = ["Tab", "title_after"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SECONDS = 120


def _program() -> str:
    program = next((path for name in _NAMES if (path := shutil.which(name))), None)
    assert program, "this test needs Debian's package chromium, or Chrome"
    return program


def title_after(page: Path, script: str, *, profile: Path, width: int = 390, seconds: int = 0) -> str:
    """Open a copy of a page, run ``script`` in it when it has loaded, and return the document's title then.

    Args:
        page: The page; a copy of it is made beside it.
        script: JavaScript that sets ``document.title``.
        profile: A directory for the browser's own files.
        width: Of the window, in pixels; 390 is a telephone's.
        seconds: How much time of the page, timers included, passes before the title is looked at.
    """
    program = _program()
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


class Tab:
    """One page of a browser that runs in real time, asked over the DevTools protocol.

    Args:
        page: The page to open: a file, or an address.
        profile: A directory for the browser's own files.
        width: Of the window, in pixels.
    """

    def __init__(self, page: Path | str, *, profile: Path, width: int = 1280) -> None:
        self.requested: list[str] = []
        """Addresses that the page and its scripts have asked for so far."""
        profile.mkdir(parents=True, exist_ok=True)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},844"]
        command = [_program(), *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._open = ExitStack()
        self._open.callback(self._end)
        try:
            wire = connect(self._address(profile / "DevToolsActivePort"), max_size=None, proxy=None)
            self._wire = self._open.enter_context(wire)
            self._count = 0
            self._ask("Network.enable")
            self._ask("Performance.enable")
            self._ask("Page.enable")
            self._ask("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
            self._until("Page.loadEventFired")
        except BaseException:
            self.close()
            raise

    def _address(self, file: Path) -> str:
        """Return where the tab listens, when the browser has written its port."""
        wait_until(lambda: file.is_file() and "\n" in file.read_text(encoding="utf-8"), what="the port of the browser")
        port = file.read_text(encoding="utf-8").splitlines()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_SECONDS) as answer:
            tabs = json.load(answer)
        return next(str(tab["webSocketDebuggerUrl"]) for tab in tabs if tab["type"] == "page")

    def _ask(self, method: str, **parameters: Any) -> Any:
        self._count += 1
        self._wire.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            said = self._receive()
            if said.get("id") == self._count:
                assert "error" not in said, said
                return said["result"]

    def _receive(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._wire.recv(timeout=_SECONDS))
        if said.get("method") == "Network.requestWillBeSent":
            self.requested.append(said["params"]["request"]["url"])
        return said

    def _until(self, event: str) -> None:
        while self._receive().get("method") != event:
            pass

    def run(self, script: str) -> Any:
        """Run the body of an async function in the page and return what it returns, as JSON can hold it."""
        expression = f"(async () => {{ {script} }})()"
        result = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def drop(self, paths: Sequence[Path], target: str) -> None:
        """Drop files or folders on the element with the id ``target``, as from a file manager."""
        box = self.run(
            f"const one = document.getElementById({json.dumps(target)}); one.scrollIntoView({{block: 'center'}});"
            "const {x, y} = one.getBoundingClientRect(); return {x: x + 10, y: y + 10};"
        )
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for event in ("dragEnter", "dragOver", "drop"):
            self._ask("Input.dispatchDragEvent", type=event, **box, data=data)

    def cpu_seconds(self) -> float:
        """Return the CPU time that the page's process has used, all of its threads included."""
        return float(
            next(one["value"] for one in self._ask("Performance.getMetrics")["metrics"] if one["name"] == "ProcessTime")
        )

    def close(self) -> None:
        """End the browser."""
        self._open.close()

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)

    def __enter__(self) -> Self:
        """Return the tab itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the browser."""
        self.close()
