"""A network trained in the notebook: it learns, stops, goes on, and says how far it is."""

import pytest
import torch

from helpers.picturebook import training as lessons
from helpers.pictures import Pictures, picture_book
from helpers.training import train_classifier


def stripes(count, size=16, seed=0):
    """Pictures of two classes that are easy to tell apart: stripes that lie and stripes that stand."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    waves = 0.5 + 0.5 * torch.sin(torch.arange(size) * 1.6).expand(count, 3, size, size)
    images = torch.where(labels.view(-1, 1, 1, 1) == 0, waves.mT, waves)
    images = (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    return Pictures(
        images, labels, tuple(("lying", "standing")[label] for label in labels), None, ("lying", "standing")
    )


def accuracy(model, pictures):
    with torch.no_grad():
        return float((model(pictures.images).argmax(dim=1) == pictures.labels).float().mean())


@pytest.mark.parametrize("radius", [0.0, 0.5], ids=["ordinary", "adversarial"])
def test_it_learns_to_tell_new_pictures(tmp_path, radius, capsys):
    state = torch.get_rng_state()
    model = train_classifier(stripes(256), "stripes", epochs=4, attack_radius=radius, folder=tmp_path)
    assert torch.equal(state, torch.get_rng_state())
    assert accuracy(model, stripes(64, seed=1)) > 0.95
    assert (model.classes, model.input_size, model.name) == (("lying", "standing"), 16, "stripes")
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    assert model.cam_layer(model.normalise(stripes(2).images)).shape == (2, 96, 2, 2)
    assert "stripes: 4 epochs done" in capsys.readouterr().out


@pytest.mark.slow
def test_training_against_attacks_withstands_them(tmp_path):
    pictures, fresh = stripes(256), stripes(64, seed=1)
    hits = {}
    for radius in (0.0, 3.0):
        model = train_classifier(pictures, f"radius{radius}", epochs=6, attack_radius=radius, folder=tmp_path)
        attacked = lessons.attacked(
            model.network, fresh.images, fresh.labels, 5.0, 10, torch.Generator().manual_seed(0)
        )
        hits[radius] = float((model(attacked).argmax(dim=1) == fresh.labels).float().mean())
    assert hits[3.0] > hits[0.0] + 0.1, hits


def test_interrupted_it_gives_what_it_has_learned_says_how_far_and_goes_on(tmp_path, monkeypatch, capsys):
    pictures, train_epoch = stripes(128), lessons.train_epoch
    whole = train_classifier(pictures, "whole", epochs=3, folder=tmp_path)

    def stop_in_the_second(network, optimiser, recipe, epoch, *rest):
        train_epoch(network, optimiser, recipe, epoch, *rest)
        if epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(lessons, "train_epoch", stop_in_the_second)
    half = train_classifier(pictures, "parts", epochs=3, folder=tmp_path)
    assert "parts: stopped after 1 of 3 whole epochs" in capsys.readouterr().out
    assert not half.training and not half.network.training
    monkeypatch.setattr(lessons, "train_epoch", train_epoch)
    resumed = train_classifier(pictures, "parts", epochs=3, folder=tmp_path)
    scores = [model(pictures.images[:4]) for model in (whole, half, resumed)]
    assert torch.equal(scores[0], scores[2]) and not torch.equal(scores[0], scores[1])
    monkeypatch.setattr(lessons, "train_epoch", None)  # a finished one trains no more
    assert torch.equal(train_classifier(pictures, "parts", epochs=3, folder=tmp_path)(pictures.images[:4]), scores[2])


def test_a_checkpoint_of_other_pictures_is_refused(tmp_path):
    train_classifier(stripes(64), "mine", epochs=1, folder=tmp_path)
    with pytest.raises(ValueError, match=r"mine\.pt was made by another recipe; delete it to train mine"):
        train_classifier(stripes(64, seed=1), "mine", epochs=1, folder=tmp_path)


def test_digits_are_not_mirrored():
    images = torch.rand(200, 3, 12, 12)
    moved = [lessons.shift_and_flip(images, torch.Generator().manual_seed(0), mirrored) for mirrored in (True, False)]
    same = (moved[0] == moved[1]).flatten(1).all(dim=1)
    assert 60 < same.sum() < 140 and moved[1].shape == images.shape


def test_pictures_that_cannot_be_learned_get_a_sentence(tmp_path):
    few = picture_book(3)
    with pytest.raises(ValueError, match="found 3 pictures, wanted a batch of 64 or more"):
        train_classifier(few, "few", folder=tmp_path)
    with pytest.raises(ValueError, match="do not tell all their classes"):
        train_classifier(Pictures(few.images, few.labels, few.names), "few", folder=tmp_path)
