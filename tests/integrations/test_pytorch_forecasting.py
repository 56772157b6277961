"""The losses of a test are those of the fit of pytorch-forecasting's models."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import pytorch_forecasting as pf
import torch

from tests.engine.training_parts import state
from tests.integrations.test_lightning_fit import _fitted, _tested, _trainer

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, of small trainings


def _data(**options: Any) -> Any:
    times, count = 60, 6
    values = np.random.default_rng(0).normal(size=times * count).cumsum()
    table = pd.DataFrame(
        {
            "series": pd.Categorical(np.repeat(list(map(str, range(count))), times)),
            "time": np.tile(np.arange(times), count),
            "value": values,
        }
    )
    return pf.TimeSeriesDataSet(
        table,
        time_idx="time",
        target="value",
        group_ids=["series"],
        max_encoder_length=12,
        max_prediction_length=4,
        time_varying_unknown_reals=["value"],
        **options,
    )


def _models() -> dict[str, Any]:
    """Return the class, the data and the arguments of each model."""
    covariates = {"static_categoricals": ["series"], "time_varying_known_reals": []}
    small = {"hidden_size": 8, "dropout": 0.1}
    return {
        "TFT": (
            pf.TemporalFusionTransformer,
            _data(**covariates, add_relative_time_idx=True),
            {**small, "attention_head_size": 2},
        ),
        "N-BEATS": (pf.NBeats, _data(), {"widths": [8, 8], "dropout": 0.1}),
        "DeepAR": (pf.DeepAR, _data(**covariates), {**small, "rnn_layers": 2}),
    }


@pytest.mark.parametrize("name", ["TFT", "N-BEATS", "DeepAR"])
@pytest.mark.parametrize("settings", [{}, {"gradient_clip_val": 0.1}])
def test_the_losses_are_those_of_fit(name: str, settings: Any) -> None:
    kind, data, arguments = _models()[name]

    def on_fit_start(_: Any) -> None:
        torch.manual_seed(7)

    seeded: Any = type("Seeded", (kind,), {"on_fit_start": on_fit_start})

    def make() -> Any:
        torch.manual_seed(0)
        loss = {"loss": pf.QuantileLoss()} if name == "TFT" else {}
        return seeded.from_dataset(data, learning_rate=0.03, **loss, **arguments)

    def loader() -> Any:
        return data.to_dataloader(train=True, batch_size=16, num_workers=0)

    model, trainer = make(), None
    if settings:
        trainer = _trainer(pl, max_epochs=50, **settings)
    before = state(model, None)
    rates, losses = _tested(model, loader(), trainer)
    assert state(model, None) == before
    assert losses == pytest.approx(_fitted(pl, make(), loader(), rates, settings))
