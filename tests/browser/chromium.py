"""The browser that the tests drive."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No page can load anything from another host, even if this machine is online.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def chromium() -> str:
    """Return the path of the browser: CHROMIUM, or a browser of the system."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else _NAMES:
        path = shutil.which(name)
        if path:
            return path
    msg = (
        f"no browser found as CHROMIUM={named!r} or {_NAMES}: install it by "
        "`apt-get install -y chromium`, or set CHROMIUM to the path of a Chromium"
    )
    raise RuntimeError(msg)


def launch(playwright: Playwright) -> Browser:
    """Start the browser without a window."""
    return playwright.chromium.launch(executable_path=chromium(), args=list(_FLAGS))
