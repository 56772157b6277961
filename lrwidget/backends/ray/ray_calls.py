"""
Calls of Ray's that start nothing.

Its own start Ray where there is none: where it was shut down in another thread, a
moment ago, too.
"""

from __future__ import annotations

from typing import Any

import ray


def _plain(call: Any) -> Any:  # noqa: ANN401 (any function)
    return getattr(call, "__wrapped__", call)


cancel: Any = _plain(ray.cancel)
get: Any = _plain(ray.get)
kill: Any = _plain(ray.kill)
wait: Any = _plain(ray.wait)
