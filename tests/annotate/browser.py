"""A headless Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import websocket

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in _NAMES if (path := shutil.which(name))), None)
_PATIENCE_S = 60


class Browser:
    """One page; mouse and keyboard as a user has them."""

    def __init__(self, folder: Path, address: str) -> None:
        assert CHROMIUM is not None
        self._process = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={folder}",
                "--window-size=1300,850",
                "--force-device-scale-factor=1",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        noted = folder / "DevToolsActivePort"
        _until(lambda: noted.exists() and len(noted.read_text().splitlines()) == 2)
        port = noted.read_text().splitlines()[0]
        self._number = 0
        pages: list[dict[str, Any]] = []

        def listed() -> bool:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                pages[:] = [page for page in json.load(answer) if page["type"] == "page"]
            return bool(pages)

        _until(listed)
        self._socket = websocket.create_connection(
            pages[0]["webSocketDebuggerUrl"], timeout=_PATIENCE_S
        )
        self._call("Page.enable")
        self._call("Page.navigate", url=address)

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(_PATIENCE_S)

    def evaluate(self, expression: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        _until(lambda: bool(self.evaluate(expression)))

    def drag(self, points: list[tuple[float, float]], *, shift: bool = False) -> None:
        """Press at the first point, move along the others, and let go at the last."""
        common = {"button": "left", "modifiers": 8 if shift else 0, "clickCount": 1}
        (x, y), *others = points
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **common)
        for x, y in others:
            self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **common)
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **common)

    def press(self, key: str, *, control: bool = False) -> None:
        common = {"key": key, "modifiers": 2 if control else 0}
        self._call("Input.dispatchKeyEvent", type="rawKeyDown", **common)
        self._call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(answer["error"])
                result: dict[str, Any] = answer["result"]
                return result


def _until(true: Any) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"nothing after {_PATIENCE_S} s")
        time.sleep(0.05)
