"""The start of the workers of a test by Ray Train."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrwidget.backends.ray.scaling import Scaling
    from lrwidget.backends.ray.worker import Work

# Ray Train reads these when it begins, and passes them on to its workers.
_ENVIRONMENT = {
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay as they are
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon a dead worker is noticed
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",  # nodes may have to be started
    "TORCH_PROCESS_GROUP_SHUTDOWN_TIMEOUT_S": "1",
}
_SECONDS_TO_WAIT_FOR_A_RANK = 60


def fit(work: Work, scaling: Scaling) -> None:
    """
    Run a test on its workers, in a process for this alone.

    An interrupt ends the process, and frees all its resources.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    trainer = _trainer(work, scaling)
    with suppress(SystemExit):  # raised after an interrupt
        trainer.fit()


def _trainer(work: Work, scaling: Scaling) -> Any:  # noqa: ANN401 (partly private to Ray)
    # Slow to import, and after the environment is set.
    from fsspec.implementations.memory import MemoryFileSystem  # noqa: PLC0415
    from pyarrow.fs import FSSpecHandler, PyFileSystem  # noqa: PLC0415
    from ray.train.torch import TorchConfig  # noqa: PLC0415
    from ray.train.v2.api.config import (  # noqa: PLC0415
        FailureConfig,
        LoggingConfig,
        RunConfig,
        ScalingConfig,
    )
    from ray.train.v2.torch.torch_trainer import TorchTrainer  # noqa: PLC0415

    from lrwidget.backends.ray.worker import train_together  # noqa: PLC0415

    class Trainer(TorchTrainer):
        """
        A trainer that leaves it to the first process to free the reserved resources.

        The callback of Ray needs a service that a small installation lacks, and
        complains of that each second.
        """

        def _create_default_callbacks(self) -> list[Any]:
            every = super()._create_default_callbacks()
            unwanted = "PlacementGroupCleanerCallback"
            return [x for x in every if type(x).__name__ != unwanted]

    return Trainer(
        train_together,
        train_loop_config={"work": work},
        scaling_config=ScalingConfig(
            num_workers=scaling.num_workers,
            use_gpu=scaling.use_gpu,
            resources_per_worker=dict(scaling.resources),
        ),
        torch_config=TorchConfig(
            # The ranks agree on values in main memory.
            backend="cpu:gloo,cuda:nccl" if scaling.use_gpu else "gloo",
            timeout_s=_SECONDS_TO_WAIT_FOR_A_RANK,
        ),
        run_config=RunConfig(
            name=f"lrwidget-{os.getpid()}-{time.time_ns()}",
            # Nothing is saved: no folder is made.
            storage_path="lrwidget",
            storage_filesystem=PyFileSystem(FSSpecHandler(MemoryFileSystem())),
            failure_config=FailureConfig(
                max_failures=0, controller_failure_limit=0, max_preemption_failures=0
            ),
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
