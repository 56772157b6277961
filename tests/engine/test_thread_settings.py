from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from lrwidget.engine.thread_settings import ThreadSettings


def _elsewhere(settings: ThreadSettings, look: Any) -> Any:
    def run() -> Any:
        with settings.applied():
            return look()

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(run).result()


def test_gradients_are_on_whatever_the_caller_has() -> None:
    with torch.no_grad():
        settings = ThreadSettings()
        with settings.applied():
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        settings = ThreadSettings()
        with settings.applied():
            assert torch.ones(1, requires_grad=True).mul(2).requires_grad
            assert not torch.is_inference_mode_enabled()
        assert torch.is_inference_mode_enabled()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_follows_into_another_thread(dtype: torch.dtype) -> None:
    def product() -> torch.dtype:
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype

    with torch.autocast("cpu", dtype):
        settings = ThreadSettings()
    assert _elsewhere(settings, product) == dtype
    assert _elsewhere(ThreadSettings(), product) == torch.float32


def test_the_default_device_follows_into_another_thread() -> None:
    with torch.device("meta"):
        settings = ThreadSettings()
    assert _elsewhere(settings, lambda: torch.ones(1).device.type) == "meta"
    assert _elsewhere(ThreadSettings(), lambda: torch.ones(1).device.type) == "cpu"


def test_a_context_that_fails_leaves_no_other_active() -> None:
    settings = ThreadSettings()

    def fail() -> Any:
        raise ZeroDivisionError

    settings._contexts.append(fail)
    with torch.no_grad():
        with pytest.raises(ZeroDivisionError), settings.applied():
            pass
        assert not torch.is_grad_enabled()
