"""Lightning: train a module as always, then let `trainer.predict` tell how unsure the net is, by one callback."""

import logging
import warnings

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from mcdrop.lightning import MCDropoutCallback


class Classifier(LightningModule):
    """A plain module, which knows nothing of what comes."""

    def __init__(self) -> None:
        """Build the net."""
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(64, 2)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.net(x)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the loss."""
        x, y = batch
        return torch.nn.functional.cross_entropy(self(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main(epochs: int = 20, passes: int = 200) -> None:
    """Train on two clouds of points, and ask about places inside, between and beyond them."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    # Lightning's way through collections of loaders, which newer versions of torch call deprecated.
    warnings.filterwarnings(
        "ignore", message=r".*isinstance\(treespec, LeafSpec\).* is deprecated", category=FutureWarning
    )
    torch.manual_seed(0)
    y = torch.arange(400) % 2
    x = torch.randn(400, 2) + 3 * y[:, None] - 1.5
    callback = MCDropoutCallback(task="classification", passes=passes, seed=0)  # this line is all there is to add
    trainer = Trainer(
        max_epochs=epochs, accelerator="cpu", callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    module = Classifier()
    trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=50, shuffle=True))

    places = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [0.0, 0.0], [8.0, -8.0]])
    trainer.predict(module, DataLoader(TensorDataset(places), batch_size=3))  # a list with a prediction for each batch
    pred = callback.predictive  # all of them as one
    print("place           probabilities  entropy  mutual information")
    for row, place in enumerate(places.tolist()):
        probs = "  ".join(f"{value:.2f}" for value in pred.probs[row])
        print(f"{place!s:14}  {probs:>13}  {pred.entropy[row]:7.2f}  {pred.mutual_information[row]:18.3f}")


if __name__ == "__main__":
    main()
