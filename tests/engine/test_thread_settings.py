from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from lrwidget.engine.thread_settings import ThreadSettings


def _elsewhere(ambient: ThreadSettings, look: Any) -> Any:
    def run() -> Any:
        with ambient.entered():
            return look()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()


def test_gradients_are_on_whatever_the_caller_has() -> None:
    with torch.no_grad():
        ambient = ThreadSettings()
        with ambient.entered():
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        ambient = ThreadSettings()
        with ambient.entered():
            assert torch.ones(1, requires_grad=True).mul(2).requires_grad
            assert not torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_follows_into_another_thread(dtype: torch.dtype) -> None:
    def product() -> torch.dtype:
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    with torch.autocast("cpu", dtype):
        ambient = ThreadSettings()
    assert _elsewhere(ambient, product) == dtype
    assert _elsewhere(ThreadSettings(), product) == torch.float32


def test_the_default_device_follows_into_another_thread() -> None:
    with torch.device("meta"):
        ambient = ThreadSettings()
    assert _elsewhere(ambient, lambda: torch.ones(1).device.type) == "meta"
    assert _elsewhere(ThreadSettings(), lambda: torch.ones(1).device.type) == "cpu"


def test_what_cannot_be_entered_leaves_nothing_entered() -> None:
    ambient = ThreadSettings()

    def fail() -> Any:
        raise ZeroDivisionError

    ambient._contexts.append(fail)
    with torch.no_grad():
        with pytest.raises(ZeroDivisionError), ambient.entered():
            pass
        assert not torch.is_grad_enabled()
