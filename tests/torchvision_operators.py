"""
Declares the operators that torchvision wants, where its own do not load.

The registry's torchvision is built for CUDA; beside a torch that is not, its compiled
operators do not load, and importing it fails. None of them is called in the tests.
Import this before anything that imports torchvision.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def _load() -> None:
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    library = Path(spec.origin).with_name("_C.so")
    try:
        torch.ops.load_library(library)
    except OSError:
        torch.library.define("torchvision::nms", _BOXES)
        torch.library.define("torchvision::qnms", _BOXES)


_load()
