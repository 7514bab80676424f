"""Classifier, load_model, and the files both need; offline, except for a server on this machine itself."""

import contextlib
import copy
import hashlib
import os
import socket
import threading
import time
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import torchvision
from torch import nn

from helpers import assets, models
from helpers.models import CAM_LAYERS, Classifier, build_network, cam_path, choose_threads, load_model
from helpers.picturebook import CLASSES

PRESET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
TORCHVISION = torchvision.models.list_models(module=torchvision.models)


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch, tmp_path):
    """No course assets, no default model, empty caches, and no network until a test brings one."""
    for variable in ("COURSE_ASSETS", "COURSE_MODEL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def offline(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)


def small_classifier(network=None, **options):
    network = network or nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return Classifier(network, "abcd", **PRESET, input_size=8, **options)


def put_weights(folder, name, state):
    (folder / "weights").mkdir(exist_ok=True)
    torch.save(state, folder / "weights" / f"{name}.pth")


# Classifier


def test_classifier_is_frozen_in_eval_mode_and_not_in_place():
    model = small_classifier(name="small")
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert [module.inplace for module in model.modules() if hasattr(module, "inplace")] == [False, False]
    assert model.classes == ("a", "b", "c", "d")
    assert (model.input_size, model.name) == (8, "small")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classifier_normalises_pixels(dtype):
    model = small_classifier().to(dtype)
    images = torch.rand(2, 3, 9, 8, dtype=dtype)
    mean, std = (torch.tensor(PRESET[key], dtype=torch.float32).to(dtype) for key in ("mean", "std"))
    expected = model.network((images - mean[:, None, None]) / std[:, None, None])
    assert model(images).dtype == dtype
    assert torch.equal(model(images), expected)


def test_classifier_gradient_is_with_respect_to_pixels():
    model = small_classifier().double()
    pixels = torch.rand(1, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, pixels)


def test_single_image_and_wrong_channels_are_refused():
    model = small_classifier()
    with pytest.raises(ValueError, match=r"found images of shape \(3, 8, 8\), wanted \(N, 3, H, W\)"):
        model(torch.rand(3, 8, 8))
    with pytest.raises(ValueError, match=r"found images of shape \(2, 1, 8, 8\)"):
        model(torch.rand(2, 1, 8, 8))


def test_cam_layer_is_the_module_at_its_path_or_a_clear_error():
    model = small_classifier(cam_layer="1")
    assert model.cam_layer is model.network[1]
    with pytest.raises(ValueError, match="small has no cam_layer"):
        _ = small_classifier(name="small").cam_layer


def test_classifier_can_be_copied_and_copies_are_independent():
    model = small_classifier(cam_layer="1")
    images = torch.rand(1, 3, 8, 8)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(images), model(images))
    nn.init.zeros_(twin.network[0].weight)
    assert twin.cam_layer is twin.network[1]
    assert not torch.equal(twin(images), model(images))


# The families of torchvision. Most networks are built on the meta device: real shapes and gradients, no numbers.

SMALL_MEMBERS = (
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet"),
    *("inception_v3", "maxvit_t", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf"),
    *("regnet_y_400mf", "resnet18", "resnet50", "resnext50_32x4d", "shufflenet_v2_x0_5", "squeezenet1_0"),
    *("squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn"),
    *("vgg19", "vgg19_bn", "wide_resnet50_2"),
)


def shape_only(name):
    """Return the Classifier of a torchvision model with random or no weights, and two images for it."""
    size = torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0]
    device = "cpu" if name.startswith("regnet") else "meta"  # RegNet computes its widths with tensors
    with torch.device(device):
        network = build_network(name)
        model = Classifier(network, range(1000), **PRESET, input_size=size, cam_layer=cam_path(name), name=name)
        return model, torch.rand(2, 3, size, size, requires_grad=True)


def layer_outputs(model):
    """Record (module, output, version of the output) of every layer in the order in which they end."""
    record = []
    for module in model.network.modules():
        module.register_forward_hook(lambda module, _, output: record.append((module, output, output._version)))
    return record


@pytest.mark.parametrize("name", SMALL_MEMBERS)
def test_cam_layer_of_each_family(name):
    model, images = shape_only(name)
    record = layer_outputs(model)
    scores = model(images)
    assert scores.shape == (2, 1000)

    position = [module for module, _, _ in record].index(model.cam_layer)
    _, features, _ = record[position]
    assert features.ndim == 4 and features.shape[0] == 2
    assert features.shape[2] * features.shape[3] > 1
    (gradient,) = torch.autograd.grad(scores[:, 0].sum(), features)
    assert gradient.shape == features.shape

    after = [module for module, _, _ in record[position + 1 :]]
    if name.startswith(("alexnet", "vgg")):
        assert isinstance(model.cam_layer, nn.ReLU) and isinstance(after[0], nn.MaxPool2d)
    assert not [module for module in after if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]

    # Nothing overwrites what the layer, or any ReLU, computed.
    kept = [module for module, output, version in record if output._version == version]
    assert model.cam_layer in kept
    assert all(module in kept for module, _, _ in record if isinstance(module, nn.ReLU))


def test_every_torchvision_name_has_a_cam_layer_except_vision_transformers():
    assert {name for name in TORCHVISION if cam_path(name) is None} == {
        name for name in TORCHVISION if name.startswith("vit_")
    }
    assert all(any(name.startswith(family) for name in TORCHVISION) for family in CAM_LAYERS)


@pytest.mark.parametrize("name", ["vit_b_16", "vit_h_14"])
def test_vision_transformer_runs_at_the_size_of_its_weights_and_has_no_cam_layer(name):
    model, images = shape_only(name)
    assert model(images).shape == (2, 1000)
    with pytest.raises(ValueError, match=f"{name} has no cam_layer"):
        _ = model.cam_layer


@pytest.mark.parametrize("name", ["densenet121", "googlenet", "inception_v3"])
def test_relu_functions_become_modules(name, monkeypatch):
    """With them, guided backprop on nn.ReLU modules sees every ReLU of these networks."""
    with torch.device("meta"):
        network = build_network(name).eval()

        def refuse(*_, **__):
            raise AssertionError("a ReLU function was called outside of an nn.ReLU module")

        monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x.clamp(min=0))
        monkeypatch.setattr(nn.functional, "relu", refuse)
        assert network(torch.rand(1, 3, 299, 299)).shape == (1, 1000)


def old_densenet_names(state):
    """Return the state dict with the names that torchvision's own DenseNet files still have."""
    for key in list(state):
        for word in ("norm", "relu", "conv"):
            if "denselayer" in key:
                for digit in "12":
                    key_in_file = key.replace(f".{word}{digit}.", f".{word}.{digit}.")
                    if key_in_file != key:
                        state[key_in_file] = state.pop(key)
    return state


@pytest.mark.parametrize(
    ("name", "config", "rename"),
    [
        ("squeezenet1_1", {}, None),
        ("resnet18", {}, None),
        ("mnasnet0_5", {}, None),
        ("densenet121", {}, old_densenet_names),
        ("googlenet", {"transform_input": True, "init_weights": False}, None),
        ("inception_v3", {"transform_input": True, "init_weights": False}, None),
    ],
)
def test_model_agrees_with_torchvisions_own_pipeline(name, config, rename, monkeypatch, tmp_path):
    torch.manual_seed(0)
    original = torchvision.models.get_model(name, weights=None, **config).eval()
    for module in original.modules():
        if isinstance(module, nn.Conv2d):  # by default, the signal dies out in a deep network
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    state = original.state_dict()
    put_weights(tmp_path, name, rename(state) if rename else state)
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path))
    model = load_model(name, "cpu")

    levels = torch.randint(256, (2, 3, 96, 96), dtype=torch.uint8)
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms(crop_size=96, resize_size=96)
    with torch.no_grad():
        expected = original(preset(levels))
        scores = model(levels / 255)
    assert isinstance(scores, torch.Tensor)
    assert (scores - expected).norm() <= 1e-5 * expected.norm()
    assert (scores[0] - scores[1]).norm() > 1e-3 * scores.norm()  # so the comparison sees the images
    assert model.classes == tuple(weights.meta["categories"])
    assert model.input_size == weights.transforms().crop_size[0]


# load_model


def test_unknown_name_lists_close_ones():
    with pytest.raises(ValueError, match=r"no model called 'squeezenet1_2': did you mean squeezenet1_1"):
        load_model("squeezenet1_2")
    with pytest.raises(ValueError, match=r"no model called 'xyz': see helpers.models.model_names"):
        load_model("xyz")


@pytest.mark.parametrize("name", models.PICTURE_BOOK)
def test_picture_book_models(name):
    model = load_model(name, "cpu")
    assert (model.name, model.classes, model.input_size) == (name, CLASSES, 64)
    record = layer_outputs(model)
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 10)
    if name == "picturebook-vit":
        with pytest.raises(ValueError, match="picturebook-vit has no cam_layer"):
            _ = model.cam_layer
    else:
        (features,) = [output for module, output, _ in record if module is model.cam_layer]
        assert features.shape[-2:] == (8, 8)


def test_default_falls_back_to_the_picture_book_and_says_so_in_one_line(capsys):
    model = load_model(device="cpu")
    printed = capsys.readouterr().out
    assert model.name == "picturebook"
    assert printed.count("\n") == 1 and "using 'picturebook'" in printed


def test_course_model_is_the_default_and_does_not_fall_back(monkeypatch):
    monkeypatch.setenv("COURSE_MODEL", "picturebook-robust")
    assert load_model(device="cpu").name == "picturebook-robust"
    monkeypatch.setenv("COURSE_MODEL", "squeezenet1_1")
    with pytest.raises(assets.UnreachableError, match="connect to the internet, or set COURSE_ASSETS"):
        load_model()


def test_asking_by_name_without_network_is_an_error_that_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path))
    with pytest.raises(assets.UnreachableError, match=r"weights/resnet18\.pth\.$"):
        load_model("resnet18")


def test_assets_folder_that_does_not_exist(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path / "absent"))
    with pytest.raises(assets.AssetError, match="absent is not a folder"):
        load_model()


def bare_bytes(path):
    path.write_bytes(b"<html>log in to the network</html>")


def half_a_file(path):
    torch.save(torchvision.models.squeezenet1_1().state_dict(), path)
    path.write_bytes(path.read_bytes()[:100_000])


def whole_module(path):
    torch.save(nn.Linear(2, 2), path)


@pytest.mark.parametrize("write", [bare_bytes, half_a_file, whole_module])
def test_file_that_is_not_a_state_dict(write, monkeypatch, tmp_path):
    (tmp_path / "weights").mkdir()
    write(tmp_path / "weights" / "squeezenet1_1.pth")
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path))
    with pytest.raises(assets.AssetError, match=r"squeezenet1_1\.pth is not a file of weights"):
        load_model()


class Payload:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_weights_run_no_code(monkeypatch, tmp_path):
    put_weights(tmp_path, "squeezenet1_1", {"weight": Payload(tmp_path / "made")})
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path))
    with pytest.raises(assets.AssetError, match="is not a file of weights"):
        load_model()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (torchvision.models.squeezenet1_0(num_classes=10).state_dict(), "another network than squeezenet1_1"),
        ({"state_dict": {}, "epoch": 3}, "something other than a state dict"),
        ([torch.zeros(1)], "something other than a state dict"),
    ],
)
def test_weights_of_another_network(state, message, monkeypatch, tmp_path):
    put_weights(tmp_path, "squeezenet1_1", state)
    monkeypatch.setenv("COURSE_ASSETS", str(tmp_path))
    with pytest.raises(assets.AssetError, match=message) as caught:
        load_model()
    assert "\n" not in str(caught.value)


# Threads


@pytest.fixture
def threads(monkeypatch):
    """Return a function: what choose_threads sets with these cores, load average and threads before."""
    before = torch.get_num_threads()

    def chosen(cores, load, available):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
        torch.set_num_threads(available)
        choose_threads.cache_clear()
        assert choose_threads() == torch.get_num_threads()
        return torch.get_num_threads()

    yield chosen
    torch.set_num_threads(before)
    choose_threads.cache_clear()


def test_threads_are_the_idle_cores(threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads(cores=4, load=0.2, available=4) == 4
    assert threads(cores=4, load=1.1, available=4) == 3
    assert threads(cores=2, load=9.0, available=2) == 1
    assert threads(cores=4, load=0.0, available=1) == 1  # whoever set one thread wanted one


def test_threads_are_left_alone_where_the_environment_sets_them(threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads(cores=2, load=9.0, available=2) == 2


# Downloads


class Answers(BaseHTTPRequestHandler):
    """A server with one file; its path says what goes wrong with it."""

    content = bytes(range(256)) * 1000

    def do_GET(self):
        if self.path == "/absent":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        if self.path == "/silent":
            time.sleep(1)
        elif self.path == "/stops":
            self.wfile.write(self.content[:100_000])
        else:
            self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Return the address of a server on this machine, reachable by downloads."""
    monkeypatch.undo()  # the real download
    monkeypatch.delenv("COURSE_ASSETS", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(assets, "TIMEOUT", 0.3)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


SHA256 = hashlib.sha256(Answers.content).hexdigest()


@pytest.mark.parametrize("digits", [8, 64])
def test_download_once(server, tmp_path, monkeypatch, digits):
    target = tmp_path / "cache" / "file.bin"
    path = assets.fetch("photos/file.bin", f"{server}/file.bin", target, SHA256[:digits])
    assert path == target and path.read_bytes() == Answers.content
    assert list(target.parent.iterdir()) == [target]
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)  # a second call needs no network
    assert assets.fetch("photos/file.bin", f"{server}/file.bin", target, SHA256[:digits]) == target


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/absent", "404"),
        ("/silent", "timed out"),
        ("/stops", "invalid hash value"),
    ],
)
def test_download_that_fails_leaves_nothing(server, tmp_path, path, reason):
    target = tmp_path / "cache" / "file.bin"
    with pytest.raises(assets.UnreachableError, match=reason) as caught:
        assets.fetch("photos/file.bin", server + path, target, SHA256)
    assert str(caught.value).startswith("file.bin is not on this machine and cannot be downloaded from 127.0.0.1")
    assert str(caught.value).endswith("or set COURSE_ASSETS to a folder that holds photos/file.bin.")
    assert list(target.parent.iterdir()) == []


def test_interrupted_download_leaves_nothing(server, tmp_path, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.hub, "tqdm", interrupted)
    target = tmp_path / "cache" / "file.bin"
    with pytest.raises(KeyboardInterrupt):
        assets.fetch("photos/file.bin", f"{server}/file.bin", target, SHA256)
    assert list(target.parent.iterdir()) == []


def test_download_with_a_wrong_hash_is_not_kept(server, tmp_path):
    target = tmp_path / "cache" / "file.bin"
    wanted = "0" * 64
    with pytest.raises(assets.UnreachableError, match=rf'expected "{wanted}", got "{SHA256}"') as caught:
        assets.fetch("photos/file.bin", f"{server}/file.bin", target, wanted)
    assert "\n" not in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_download_leaves_the_timeout_of_other_connections_alone(server, tmp_path):
    for path in ("/file.bin", "/silent"):
        with contextlib.suppress(assets.UnreachableError):
            assets.fetch("photos/file.bin", server + path, tmp_path / path[1:], SHA256)
        assert socket.getdefaulttimeout() is None


def test_cached_file_with_a_wrong_hash_is_not_used(tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"damaged")
    with pytest.raises(assets.AssetError, match=r"file\.bin is not the file the course knows .* delete it"):
        assets.fetch("photos/file.bin", "http://unused.invalid/file.bin", target, SHA256)


def test_cache_that_cannot_be_written_counts_as_unreachable(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(assets.UnreachableError, match=r"into .*cache"):
        assets.fetch("photos/a", "http://unused.invalid/a", tmp_path / "cache" / "a", SHA256)


def test_weights_are_downloaded_into_torchvisions_cache_and_checked(server, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = models._weights_file("resnet18", f"{server}/resnet18-{SHA256[:8]}.pth")
    assert path == tmp_path / "hub" / "checkpoints" / f"resnet18-{SHA256[:8]}.pth"
    assert path.read_bytes() == Answers.content
    with pytest.raises(assets.UnreachableError, match='expected "01234567"'):
        models._weights_file("resnet18", f"{server}/resnet18-01234567.pth")


def test_torchvision_names_every_file_of_weights_by_its_hash():
    for name in TORCHVISION:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        assert url.rpartition("-")[2].removesuffix(".pth").isalnum() and len(url.rpartition("-")[2]) >= 12
