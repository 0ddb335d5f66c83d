"""A small residual classifier of a folder of images, such as cats and dogs: first `isobit images FOLDER -o FILE`.
Names that are already set win: images (that FILE), steps, seed."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

images = Path(globals().get("images", "images.safetensors")).resolve()
steps = globals().get("steps", 500)
seed = globals().get("seed", 0)
batch_size = 16
data = images  # mapped: the folder may hold more than fits in memory
with safe_open(images, framework="pt") as file:
    classes = int(file.get_tensor("label").max()) + 1


class Block(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.norm_first = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)
        self.second, self.norm_second = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)
        self.skip = nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm_second(self.second(F.relu(self.norm_first(self.first(x)))))
        return F.max_pool2d(F.relu(self.skip(x) + h), 2)


def augmented(image: Tensor) -> Tensor:
    mirrored = torch.rand(image.shape[0], 1, 1, 1) < 0.5
    return torch.where(mirrored, image.flip(3), image)


def loss(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    logits = model(augmented(batch["image"].float() / 127.5 - 1))
    accuracy = (logits.argmax(1) == batch["label"]).float().mean()
    return {"loss": F.cross_entropy(logits, batch["label"], label_smoothing=0.1), "accuracy": accuracy}


torch.manual_seed(seed)
model = nn.Sequential(
    Block(3, 16), Block(16, 32), Block(32, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)


def learning_rate(step: int) -> float:
    return 0.05 * (1 - step / steps)
