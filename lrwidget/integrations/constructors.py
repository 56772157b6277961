"""The constructors for the objects of other frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrwidget.engine.isolation.random_state import RandomState
from lrwidget.integrations import fastai, lightning, transformers

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer
    from typing_extensions import Self

    from lrwidget.integrations.training_parts import Parts


class FromFrameworks:
    """
    Constructors for the objects of other frameworks.

    They import none of these: who passes such an object has done so.
    """

    _write_rate: Callable[[float], str]

    @classmethod
    def from_lightning(
        cls,
        module: Any,  # noqa: ANN401 (Lightning is not imported)
        data: Any = None,  # noqa: ANN401 (as above)
        *,
        optimizer: Optimizer | None = None,
        **options: Any,  # noqa: ANN401 (those of the constructor)
    ) -> Self:
        """
        Return a widget for a Lightning module.

        The loss is that of its ``training_step``, and what it logs goes nowhere. Of
        its hooks, those around the transfer of a batch are called; one that has its
        own ``backward``, ``optimizer_step`` or ``configure_gradient_clipping`` is
        refused.
        `apply` writes the rate to the module's ``lr`` or else ``learning_rate``, and
        to that of its ``hparams``, as Lightning's own finder does; without any of
        them it raises RuntimeError. With ``val_loader``, the validation loss is that
        of ``training_step``, too.

        Parameters
        ----------
        module:
            A ``LightningModule``.
        data:
            A ``LightningDataModule``, a loader, or None for the module's own. A data
            module, or the module itself, is made to prepare its data and to set them
            up, as Lightning does before it trains.
        optimizer:
            An optimizer; that of the module's ``configure_optimizers`` if None.
        **options:
            As the constructor takes them. What belongs to Lightning's ``Trainer``,
            pass as ``accumulate``, ``clip_grad_norm`` and ``autocast``.

        Raises
        ------
        TypeError, ValueError
            If ``module`` is no such module, or does not have one optimizer.
        """
        return cls._of(lambda: lightning.parts_of(module, data, optimizer), options)

    @classmethod
    def from_trainer(cls, trainer: Any, **options: Any) -> Self:  # noqa: ANN401 (as above)
        """
        Return a widget for what a Hugging Face ``Trainer`` trains.

        The loss is that of its ``compute_loss``. It accumulates, clips and casts as
        its arguments say. `apply` writes the rate to ``trainer.args.learning_rate``
        and, if it has one already, to the trainer's optimizer.

        Parameters
        ----------
        trainer:
            A ``Trainer``, before or after its training.
        **options:
            As the constructor takes them, and before what the trainer says.

        Raises
        ------
        TypeError
            If it is no such trainer.
        """
        return cls._of(lambda: transformers.parts_of(trainer), options)

    @classmethod
    def from_learner(cls, learner: Any, **options: Any) -> Self:  # noqa: ANN401 (as above)
        """
        Return a widget for what a fastai ``Learner`` trains.

        Copies of those of its callbacks that act between a batch and its loss do so
        here; nothing logs, saves or schedules. `apply` writes the rate to
        ``learner.lr``, one for each parameter group if they differ, which its ``fit``
        methods take.

        Parameters
        ----------
        learner:
            A ``Learner``, before or after its training.
        **options:
            As the constructor takes them.

        Raises
        ------
        TypeError
            If it is no such learner.
        ValueError
            If one of its callbacks acts between the loss and the optimizer step;
            ``clip_grad_norm``, ``accumulate`` and ``autocast`` do what those do.
        """
        return cls._of(lambda: fastai.parts_of(learner), options)

    @classmethod
    def _of(cls, make_parts: Callable[[], Parts], options: dict[str, Any]) -> Self:
        random_state = RandomState()
        try:
            parts = make_parts()
        finally:
            random_state.restore()
        make: Any = cls  # which takes what the widget takes
        widget: Self = make(
            *(parts.model, parts.optimizer, parts.dataloader),
            **{**parts.settings, **options},
        )
        widget._write_rate = parts.write_rate
        return widget
