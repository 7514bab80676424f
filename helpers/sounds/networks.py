"""The network that knows the drawn sounds: the picture book's small one, narrower; `load` reads its weights."""

from pathlib import Path

from helpers.picturebook.networks import MODELS, SmallCNN, read_weights
from helpers.sounds.drawing import CLASSES

NAME = "sounds"
WIDTHS = ((8,), (16,), (24, 24), (32, 32))  # an eighth of the picture book's weights


def build(batch_norm: bool = False) -> SmallCNN:
    """The network with random weights: normalised pictures (N, 3, H, W) to scores (N, 6)."""
    return SmallCNN(batch_norm, len(CLASSES), WIDTHS)


def load(folder: Path = MODELS) -> SmallCNN:
    """The trained network, in eval mode, with the weights in `folder`/sounds.safetensors."""
    network = build()
    network.load_state_dict(read_weights(NAME, folder))
    return network.eval()
