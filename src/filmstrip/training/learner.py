"""The Lightning module: one step, whatever learns."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy

from filmstrip.model.head import Network
from filmstrip.recipes.recipe import TrainingSpec
from filmstrip.training.data import Batch


class Learner(pl.LightningModule):
    """Trains ``network(sequences, lengths) -> logits`` by cross-entropy as a recipe says.

    Args:
        network: what learns: a ``SequenceClassifier`` on cached features, or a whole
            ``VideoClassifier`` on frames. Checkpoints hold it and nothing else.
        training: how.
        num_classes: K.
        class_weights: (K,) of the loss, or None.
        regularised: kernels that the L2 penalty applies to.
        backbone_parameters: those that take the backbone's own learning rate.
    """

    def __init__(
        self,
        network: Network,
        training: TrainingSpec,
        num_classes: int,
        class_weights: Tensor | None = None,
        regularised: list[Tensor] | None = None,
        backbone_parameters: list[nn.Parameter] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.training_spec = training
        self.regularised = regularised or []
        self.backbone_parameters = backbone_parameters or []
        self.class_weights = class_weights
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")

    def on_train_epoch_start(self) -> None:
        """Give each epoch's dropout a seed of its own, so that a resumed run repeats it."""
        torch.manual_seed(self.training_spec.seed * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """The loss of one batch."""
        sequences, lengths, labels = batch
        members = self.network.member_logits(sequences, lengths)  # (B, M, K)
        weights = None if self.class_weights is None else self.class_weights.to(members.device)
        loss = F.cross_entropy(
            members.flatten(0, 1),
            labels.repeat_interleave(members.shape[1]),
            weights,
            label_smoothing=self.training_spec.label_smoothing,
        )
        if self.training_spec.l2:
            squares = sum(kernel.square().sum() for kernel in self.regularised)
            loss = loss + self.training_spec.l2 * squares
        self.train_accuracy(members.mean(dim=1), labels)
        size = len(labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size)
        self.log("train_accuracy", self.train_accuracy, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Plain cross-entropy and accuracy of one batch."""
        sequences, lengths, labels = batch
        logits = self.network(sequences, lengths)
        self.val_accuracy(logits, labels)
        loss = F.cross_entropy(logits, labels)
        self.log("val_loss", loss, on_epoch=True, prog_bar=True, batch_size=len(labels))
        self.log("val_accuracy", self.val_accuracy, on_epoch=True, prog_bar=True)

    def on_train_epoch_end(self) -> None:
        """Step a plateau schedule before the epoch's checkpoint is written.

        Lightning steps it afterwards, so that a resumed run would miss a step.
        """
        if self.training_spec.schedule == "plateau":
            plateau: Any = self.lr_schedulers()
            plateau.step(self.trainer.callback_metrics["val_loss"])

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step any other schedule."""
        if self.training_spec.schedule != "plateau":
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """The optimizer and schedule of the recipe."""
        spec = self.training_spec
        own_rate = {id(parameter) for parameter in self.backbone_parameters}
        groups = [
            {
                "params": [
                    parameter
                    for parameter in self.network.parameters()
                    if parameter.requires_grad and id(parameter) not in own_rate
                ],
                "lr": spec.learning_rate,
            }
        ]
        if self.backbone_parameters:
            groups.append({"params": self.backbone_parameters, "lr": spec.backbone_learning_rate})
        optimizer = _optimizer(spec, groups)
        if spec.schedule == "constant":
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": _schedule(spec, optimizer)}


def _optimizer(spec: TrainingSpec, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if spec.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=spec.weight_decay)
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(groups, weight_decay=spec.weight_decay)
    return torch.optim.Adam(groups, weight_decay=spec.weight_decay)


def _schedule(spec: TrainingSpec, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    schedulers = torch.optim.lr_scheduler
    if spec.schedule == "plateau":
        plateau = schedulers.ReduceLROnPlateau(optimizer, factor=spec.decay, patience=5)
        return {"scheduler": plateau, "monitor": "val_loss", "interval": "epoch"}
    if spec.schedule == "cosine":
        return {
            "scheduler": schedulers.CosineAnnealingLR(optimizer, spec.epochs),
            "interval": "epoch",
        }
    return {"scheduler": schedulers.ExponentialLR(optimizer, spec.decay), "interval": "epoch"}
