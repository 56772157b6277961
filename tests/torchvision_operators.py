"""
Declare the operators that torchvision needs, if its own operators do not load.

The torchvision of the package index is built for CUDA. With a torch that is not built
for CUDA, the compiled operators do not load, and the import of torchvision fails. The
tests call none of these operators. Import this module before any import of torchvision.
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
