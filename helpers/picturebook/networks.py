"""The two small architectures of the picture book, and `load`, which reads the trained weights.

Both take normalised pictures (N, 3, 64, 64) and give unnormalised scores (N, 10).
"""

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from helpers import DATA
from helpers.picturebook.objects import CLASSES

MODELS = DATA / "models"
INPUT_SIZE = 64
MEAN, STD = 0.5, 0.25  # of all three channels; what "normalised" means for these networks
WIDTHS = ((16,), (32, 32), (64, 64), (96, 96))  # channels of the convolutions; max pooling between the groups


class SmallCNN(nn.Module):
    """Seven 3x3 convolutions, global average pooling, one linear layer (after VGG, Simonyan & Zisserman).

    `features` ends with a ReLU and a map (N, 96, 8, 8); it takes any size from 8 on, best a multiple of 8.
    With `batch_norm` it is the network that gets trained; without, the one that is shipped.
    """

    def __init__(self, batch_norm: bool = False, classes: int = len(CLASSES)):
        """Build the network with random weights."""
        super().__init__()
        self.features = nn.Sequential()
        channels, number = 3, 0
        for group, widths in enumerate(WIDTHS):
            if group > 0:
                self.features.add_module(f"pool{group}", nn.MaxPool2d(2))
            for width in widths:
                number += 1
                self.features.add_module(f"conv{number}", nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm))
                if batch_norm:
                    self.features.add_module(f"norm{number}", nn.BatchNorm2d(width))
                self.features.add_module(f"relu{number}", nn.ReLU())
                channels = width
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, classes) of normalised images (N, 3, H, W)."""
        return self.head(self.features(images))


class Attention(nn.Module):
    """Multi-head self-attention; `softmax` is a layer, so that a hook can read the map (N, heads, T, T)."""

    def __init__(self, width: int, heads: int):
        """`width` must be a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.softmax = nn.Softmax(dim=-1)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, width) in and out."""
        count, length, width = tokens.shape
        split = self.query_key_value(tokens).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        attention = self.softmax(query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5)
        return self.out((attention @ value).transpose(1, 2).reshape(count, length, width))


class Block(nn.Module):
    """One transformer layer with the normalisation first (pre-norm)."""

    def __init__(self, width: int, heads: int):
        """The hidden layer of the perceptron is twice as wide as the tokens."""
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.perceptron = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, T, width) in and out."""
        tokens = tokens + self.attention(self.norm1(tokens))
        return tokens + self.perceptron(self.norm2(tokens))


class SmallViT(nn.Module):
    """A vision transformer (Dosovitskiy et al. 2021): 64 patches of 8x8 pixels and a class token."""

    def __init__(self, width: int = 96, depth: int = 4, heads: int = 4, patch: int = 8):
        """Build the network with random weights."""
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + (INPUT_SIZE // patch) ** 2, width) * 0.02)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, len(CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, 10) of normalised images (N, 3, 64, 64)."""
        if images.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
            raise ValueError(f"this network takes 64x64 pictures only, not {images.shape[-2]}x{images.shape[-1]}")
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), tokens], dim=1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0])


ARCHITECTURES = {
    "picturebook": SmallCNN,
    "picturebook-seed1": SmallCNN,
    "picturebook-seed2": SmallCNN,
    "picturebook-robust": SmallCNN,
    "picturebook-stamped": SmallCNN,
    "picturebook-vit": SmallViT,
}


def load(name: str, folder: Path = MODELS) -> nn.Module:
    """The trained network of that name, float32, in eval mode, from `folder`/<name>.safetensors.

    The file holds float16 weights; its sha256 must be the one in `folder`/SHA256SUMS.
    """
    if name not in ARCHITECTURES:
        raise ValueError(f"there is no network {name!r}; the picture book has {', '.join(ARCHITECTURES)}")
    path = folder / f"{name}.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing; run `make models`, which trains what is missing")
    content = path.read_bytes()
    found, wanted = hashlib.sha256(content).hexdigest(), read_checksums(folder).get(path.name)
    if wanted is None:
        raise ValueError(f"{folder / 'SHA256SUMS'} has no line for {path.name}; restore both files with git")
    if found != wanted:
        raise ValueError(
            f"{path} is damaged: its sha256 is {found}, SHA256SUMS wants {wanted}. "
            "Restore the file with git, or delete it and run `make models`"
        )
    network = ARCHITECTURES[name]()
    network.load_state_dict({key: value.float() for key, value in safetensors.torch.load(content).items()})
    return network.eval()


def read_checksums(folder: Path) -> dict[str, str]:
    """The sha256 of each file by its name, from `folder`/SHA256SUMS (the format of the command sha256sum)."""
    path = folder / "SHA256SUMS"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, name in (line.split() for line in lines)}


def save(network: nn.Module, name: str, folder: Path = MODELS) -> None:
    """Write the weights as float16 to `folder`/<name>.safetensors, their sha256 to `folder`/SHA256SUMS."""
    folder.mkdir(parents=True, exist_ok=True)
    content = safetensors.torch.save({key: value.half().contiguous() for key, value in network.state_dict().items()})
    (folder / f"{name}.safetensors").write_bytes(content)
    checksums = read_checksums(folder) | {f"{name}.safetensors": hashlib.sha256(content).hexdigest()}
    (folder / "SHA256SUMS").write_text("".join(f"{checksums[file]}  {file}\n" for file in sorted(checksums)))
