"""A small convolutional classifier of handwritten digits. Names that are already set win: steps, seed."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.numpy import load_file
from torch import Tensor, nn

steps = globals().get("steps", 200)
seed = globals().get("seed", 0)
batch_size, micro_batches = 32, 2
data = load_file(Path(__file__).parent / "data" / "optdigits.safetensors")


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm_first = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.second, self.norm_second = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm_first(self.first(x))), 2)
        x = F.max_pool2d(F.relu(self.norm_second(self.second(x))), 2)
        return self.head(x.flatten(1))


def loss(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    logits = model(batch["image"].float() / 16)
    correct = logits.argmax(1) == batch["label"]
    return {"loss": F.cross_entropy(logits, batch["label"]), "accuracy": correct.float().mean()}


torch.manual_seed(seed)
model = Classifier()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
