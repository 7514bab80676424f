"""Networks that take pixels: `load_model` brings one by name, `Classifier` is what it brings.

torchvision takes a second to import, and is imported where a network of its own is asked for.
"""

import difflib
import functools
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers import assets, sounds
from helpers.picturebook import CLASSES, networks
from helpers.sounds import networks as sound_networks
from helpers.sounds.spectrogram import SIDE

DEFAULT = "squeezenet1_1"

# The picture-book networks that ship with the course, each with its last layer whose output is a feature map.
PICTURE_BOOK = {
    "picturebook": "features",
    "picturebook-seed1": "features",
    "picturebook-seed2": "features",
    "picturebook-robust": "features",
    "picturebook-stamped": "features",
    "picturebook-vit": None,
}

# For each family of torchvision, by the beginning of the name: the last layer whose output is a feature map
# (N, C, h, w). After it come pooling and a head without spatial filters. A plain ViT has no such layer.
CAM_LAYERS = {
    "alexnet": "features.11",
    "convnext": "features",
    "densenet": "relu",
    "efficientnet": "features",
    "googlenet": "inception5b",
    "inception_v3": "Mixed_7c",
    "maxvit": "blocks.3",
    "mnasnet": "layers",
    "mobilenet": "features",
    "regnet": "trunk_output",
    "resnet": "layer4",
    "resnext": "layer4",
    "shufflenet": "conv5",
    "squeezenet": "features",
    "swin": "permute",
    # The ReLU of the last convolution, before the last max pooling: 14 x 14 instead of 7 x 7.
    "vgg11": "features.19",
    "vgg11_bn": "features.27",
    "vgg13": "features.23",
    "vgg13_bn": "features.33",
    "vgg16": "features.29",
    "vgg16_bn": "features.42",
    "vgg19": "features.35",
    "vgg19_bn": "features.51",
    "wide_resnet": "layer4",
}

# Torchvision lets these two renormalise their own input, for weights that came from elsewhere.
INCEPTIONS = ("googlenet", "inception_v3")


class Normalise(nn.Module):
    """(x - mean) / std for each channel of a batch (N, C, H, W)."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        """Take the mean and the standard deviation of each channel, in pixel units."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images, (N, C, H, W)."""
        return (images - self.mean) / self.std


class Classifier(nn.Module):
    """Pixels in, scores out: images (N, 3, H, W) with values in [0, 1] to unnormalised scores (N, classes).

    The normalisation that the network was trained with is a layer of the model, so that a gradient is a
    gradient with respect to pixels. The model is in eval mode, its parameters are frozen, and no ReLU works
    in place, so that what a hook or a gradient sees of a ReLU or of `cam_layer` is what the layer computed.

    Some residual blocks of torchvision (ResNet, ConvNeXt, EfficientNet, MobileNetV3) add the shortcut in
    place (`out += identity`) and so overwrite the output of the block's last layer before the addition, a
    BatchNorm for instance. Copy it in a forward hook there; a full backward hook there raises an error.
    """

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        input_size: int,
        cam_layer: str | None = None,
        name: str = "",
    ):
        """Wrap `network`, which takes normalised images and returns scores.

        `classes`: the name of each score. `mean` and `std`: one for each colour channel, in pixel units.
        `input_size`: the height and width in pixels that the network was made for. `cam_layer`: the path
        inside `network`, such as "layer4" or "features.29", of its last feature map; None when it has none.
        """
        super().__init__()
        self.normalise = Normalise(mean, std)
        self.network = network
        self.classes = tuple(classes)
        self.input_size = input_size
        self.name = name
        self._cam_path = cam_layer
        for module in self.modules():
            if hasattr(module, "inplace"):
                module.inplace = False  # type: ignore[assignment]  # PyTorch says Tensor | Module of any attribute
        self.requires_grad_(False)
        self.eval()

    @property
    def cam_layer(self) -> nn.Module:
        """The layer whose output (N, C, h, w) is the network's last feature map, for Grad-CAM."""
        if self._cam_path is None:
            raise ValueError(
                f"{self.name or 'this network'} has no cam_layer: Grad-CAM needs a layer whose output is "
                "a feature map (N, C, h, w), so take a convolutional network."
            )
        return self.network.get_submodule(self._cam_path)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores (N, classes) of images (N, 3, H, W) with values in [0, 1]."""
        channels = self.normalise.mean.shape[1]
        if images.dim() != 4 or images.shape[1] != channels:
            raise ValueError(
                f"model: found images of shape {tuple(images.shape)}, wanted (N, {channels}, H, W): "
                "put a single image into a batch with image[None]."
            )
        return self.network(self.normalise(images))


def load_model(name: str | None = None, device: str | torch.device | None = None) -> Classifier:
    """Return the network called `name` as a Classifier on `device`.

    `name` is one of PICTURE_BOOK, such as "picturebook-robust", or "sounds", or that of any classification model of
    torchvision, such as "resnet101", whose weights come from COURSE_ASSETS, else are downloaded once. None means the
    environment variable COURSE_MODEL, else SqueezeNet 1.1; only this last default falls back to "picturebook", with a
    printed line, where its weights cannot be had. `device` None means CUDA where there is a GPU, else the CPU.

    Raises ValueError for an unknown name and helpers.assets.AssetError for weights that are missing or wrong.
    """
    choose_threads()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = name or os.environ.get("COURSE_MODEL")
    if not name:
        try:
            model = _torchvision_model(DEFAULT)
        except assets.UnreachableError:
            print(f"No internet, and no weights of {DEFAULT} on this machine: using 'picturebook' instead.")
            model = _picture_book_model("picturebook")
    elif name in PICTURE_BOOK:
        model = _picture_book_model(name)
    elif name == sound_networks.NAME:
        model = _sounds_model()
    else:
        model = _torchvision_model(name)
    return model.to(device)


def model_names() -> list[str]:
    """Return every name that `load_model` knows."""
    import torchvision

    return [*PICTURE_BOOK, sound_networks.NAME, *torchvision.models.list_models(module=torchvision.models)]


@functools.cache  # once in a process: later, the load average holds the process's own work
def choose_threads() -> int:
    """Set the number of threads PyTorch computes with on the CPU, and return it.

    OMP_NUM_THREADS, where set, is left to rule. Otherwise it is the number of idle cores by the load average
    of the last minute, at least one, and never more than PyTorch has now.
    """
    # Threads wait for one another at the end of each layer, so one that has to share its core stops them all.
    # On two idle cores, two threads ran SqueezeNet 2.0 times faster than one; while another process kept one
    # of the cores busy, 20 times slower. One thread too few costs little, one too many costs much.
    if "OMP_NUM_THREADS" not in os.environ and hasattr(os, "getloadavg"):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        idle = cores - round(os.getloadavg()[0])
        torch.set_num_threads(max(1, min(idle, torch.get_num_threads())))
    return torch.get_num_threads()


def cam_path(name: str) -> str | None:
    """Return the path of the last feature map in torchvision's model `name`; None when it has none."""
    families = [family for family in CAM_LAYERS if name.startswith(family)]
    return CAM_LAYERS[max(families, key=len)] if families else None


def build_network(name: str) -> nn.Module:
    """Return torchvision's model `name` with random weights, each ReLU a module, no preprocessing inside."""
    import torchvision

    config = {}
    if name in INCEPTIONS:
        # The auxiliary heads serve training only, and the Classifier's normalisation is to be the only one.
        config = {"aux_logits": False, "transform_input": False, "init_weights": False}
    if name.startswith("vit"):  # the one family that is built for one size of its input
        config = {"image_size": torchvision.models.get_model_weights(name).DEFAULT.meta["min_size"][0]}
    network = torchvision.models.get_model(name, weights=None, **config)
    return _with_relu_modules(name, network)


def _with_relu_modules(name: str, network: nn.Module) -> nn.Module:
    """Return the network with nn.ReLU modules where torchvision calls an in-place ReLU function.

    Guided backprop would not see the function, and the function overwrites the output of the layer before it.
    Names of parameters, and values, stay the same.
    """
    if name.startswith("densenet"):
        return nn.Sequential(
            OrderedDict(
                features=network.get_submodule("features"),
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                classifier=network.get_submodule("classifier"),
            )
        )
    if name in INCEPTIONS:
        from torchvision.models.googlenet import BasicConv2d as GoogLeNetConv
        from torchvision.models.inception import BasicConv2d as InceptionConv

        for parent in list(network.modules()):
            for path, child in list(parent.named_children()):
                if isinstance(child, (GoogLeNetConv, InceptionConv)):
                    block = OrderedDict(conv=child.conv, bn=child.bn, relu=nn.ReLU())
                    setattr(parent, path, nn.Sequential(block))
    return network


def _torchvision_model(name: str) -> Classifier:
    import torchvision

    known = model_names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "see helpers.models.model_names()."
        raise ValueError(f"load_model: there is no model called {name!r}: {hint}")
    weights = torchvision.models.get_model_weights(name).DEFAULT
    path = _weights_file(name, weights.url)
    network = build_network(name)
    _load_weights(network, path, name)
    preset = weights.transforms()
    mean, std = preset.mean, preset.std
    if name in INCEPTIONS:
        # What torchvision's normalisation and its `transform_input` amount to together.
        mean = std = (0.5, 0.5, 0.5)
    return Classifier(
        network,
        weights.meta["categories"],
        mean=mean,
        std=std,
        input_size=preset.crop_size[0],
        cam_layer=cam_path(name),
        name=name,
    )


def _weights_file(name: str, url: str) -> Path:
    """Return the path of the weights of `name`: in COURSE_ASSETS, else in torchvision's own cache."""
    relative = f"weights/{name}.pth"
    own = assets.asset(relative)
    if own is not None:
        return own  # whatever the course's owner put there: it must fit the network, no digest is known
    file = url.rpartition("/")[2]
    sha256 = file.removesuffix(".pth").rpartition("-")[2]  # torchvision names its files by their first digits
    return assets.fetch(relative, url, Path(torch.hub.get_dir()) / "checkpoints" / file, sha256)


def _load_weights(network: nn.Module, path: Path, name: str) -> None:
    """Load the state dict at `path` into `network`; AssetError with one sentence when it does not fit."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise assets.AssetError(
            f"{path} is not a file of weights that torch.load(weights_only=True) can read: "
            f"put a state dict of {name} there."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise assets.AssetError(f"{path} holds something other than a state dict: put one of {name} there.")
    for key in list(state):
        if name in INCEPTIONS and key.startswith(("aux", "AuxLogits")):
            del state[key]
        elif name.startswith("densenet"):
            # Torchvision's own files are older than the rule that a module's name holds no dot.
            state[re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key)] = state.pop(key)
    wanted = network.state_dict()
    try:
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        differing = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
        differing += [key for key in state if key not in wanted]
        example = f", such as {differing[0]!r}" if differing else ""
        raise assets.AssetError(
            f"{path} holds the weights of another network than {name} ({len(differing)} tensors are missing, "
            f"left over or of another shape{example}): put a state dict of torchvision's {name} there."
        ) from error


def _picture_book_model(name: str) -> Classifier:
    return Classifier(
        networks.load(name),
        CLASSES,
        mean=(networks.MEAN,) * 3,
        std=(networks.STD,) * 3,
        input_size=networks.INPUT_SIZE,
        cam_layer=PICTURE_BOOK[name],
        name=name,
    )


def _sounds_model() -> Classifier:
    return Classifier(
        sound_networks.load(),
        sounds.CLASSES,
        mean=(networks.MEAN,) * 3,
        std=(networks.STD,) * 3,
        input_size=SIDE,
        cam_layer="features",
        name=sound_networks.NAME,
    )
