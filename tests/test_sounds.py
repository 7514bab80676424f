"""Drawn sounds: what is heard, how it becomes a picture and a sound again, files, and the network that knows them."""

import os
import struct
import subprocess
import sys
import wave

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from torch import nn

from helpers import COURSE
from helpers.course.pages import registry
from helpers.models import load_model
from helpers.picturebook.training import fold_batch_norm
from helpers.sounds import CLASSES, draw_sounds, networks, training
from helpers.sounds.drawing import AUDIBLE
from helpers.sounds.files import load_sound, own_sounds
from helpers.sounds.shown import panel, play
from helpers.sounds.spectrogram import (
    FREQUENCIES,
    LENGTH,
    RANGE,
    RATE,
    SIDE,
    TIMES,
    levels,
    masked,
    sounds_of,
    spectrograms,
    stft,
)
from tests.answering import executed, relative


@pytest.fixture(scope="module")
def sounds():
    return draw_sounds(12, "pytest")


@pytest.fixture(scope="module")
def model():
    return load_model("sounds", "cpu")


def sine(hertz, rate=RATE, count=LENGTH, size=0.5):
    return size * np.sin(2 * np.pi * hertz * np.arange(count) / rate)


def peak(image):
    """Return the frequency (Hz) at which a spectrogram (3, SIDE, SIDE) is brightest, all times together."""
    return FREQUENCIES[image.mean(dim=(0, 2)).argmax()].item()


# Drawing

DIGEST = """
import hashlib
from helpers.sounds import draw_sounds
sounds = draw_sounds(12, 7)
print(hashlib.sha256(sounds.clean.numpy().tobytes() + sounds.background.numpy().tobytes()).hexdigest())
"""


def test_the_same_sounds_in_any_process():
    printed = set()
    for hash_seed in "12":
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(COURSE)}
        command = [sys.executable, "-c", DIGEST]
        printed.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1


def test_seed_and_index_change_a_sound_and_the_rest_of_the_batch_does_not():
    assert not torch.equal(draw_sounds(1, 0).clean, draw_sounds(1, 1).clean)
    assert not torch.equal(draw_sounds(1, 0).clean, draw_sounds(1, 0, labels=[0], first=6).clean)
    many, late = draw_sounds(9, 4), draw_sounds(2, 4, first=7)
    assert torch.equal(many.waveforms[7:], late.waveforms)
    assert many.names[7:] == late.names == (CLASSES[1], CLASSES[2])


def test_a_batch_has_the_promised_types_and_values(sounds):
    assert sounds.labels.tolist() == list(range(6)) * 2 and len(sounds) == 12
    assert sounds.clean.shape == sounds.background.shape == (12, LENGTH)
    assert sounds.waveforms.dtype == torch.float32
    assert torch.equal(sounds.waveforms, sounds.clean + sounds.background)
    images, masks = sounds.images, sounds.masks
    assert images.dtype == torch.float32 and images.shape == (12, 3, SIDE, SIDE)
    assert images.min() >= 0 and images.max() <= 1
    assert torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])
    assert masks.dtype == torch.bool and masks.shape == (12, SIDE, SIDE)


def test_no_sound_leaves_the_range_that_can_be_played():
    assert draw_sounds(120, "loud").waveforms.abs().max() <= 1


def test_each_class_is_all_there(sounds):
    """Nothing is cut off at the end: the last five milliseconds are quiet, but for what is placed right there."""
    many = draw_sounds(120, "ends")
    assert (many.clean.abs().amax(dim=1) > 0.02).all()
    late = many.clean[:, -8:].abs().amax(dim=1) / many.clean.abs().amax(dim=1)
    assert (late < 0.3).all()


@pytest.mark.parametrize("labels", [[6], [-1], [0, 1]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match="draw_sounds: found"):
        draw_sounds(1, labels=labels)


def test_the_mask_is_where_the_sound_is_louder_than_all_else_and_loud_enough(sounds):
    clean, behind, masks = levels(sounds.clean), levels(sounds.background), sounds.masks
    assert (clean[masks] > behind[masks]).all()
    for level, mask in zip(clean, masks, strict=True):
        assert level[mask].min() >= level.max() - AUDIBLE and mask.flatten()[level.argmax()]
        assert 0.003 < mask.float().mean() < 0.3


def test_what_the_mask_keeps_is_nearer_to_the_sound_itself_than_what_is_heard(sounds):
    kept = masked(sounds.waveforms, sounds.masks)
    for before, after, clean in zip(sounds.waveforms, kept, sounds.clean, strict=True):
        assert relative(after, clean) < 0.5 * relative(before, clean) or relative(after, clean) < 0.15


# Spectrograms


@pytest.mark.parametrize("row", [0, 1, 32, 100, 127])
def test_a_pure_tone_is_brightest_at_its_own_row(row):
    hertz = FREQUENCIES[row].item()
    if hertz == RATE / 2:  # at half the rate, a sine is 0 at each value
        tone = torch.cos(torch.arange(LENGTH) * torch.pi)[None]
    else:
        tone = torch.from_numpy(sine(hertz))[None]
    assert peak(spectrograms(tone)[0]) == hertz
    assert FREQUENCIES[-1] == 31.25 and FREQUENCIES[0] == RATE / 2


def test_a_sine_of_amplitude_1_is_at_0_decibels_and_a_tenth_is_at_minus_20():
    hertz = FREQUENCIES[64].item()
    for size, level in ((1.0, 0.0), (0.1, -20.0)):
        heard = levels(torch.from_numpy(sine(hertz, size=size))[None])[0, 64, 4:-4]
        assert torch.allclose(heard, torch.tensor(level, dtype=heard.dtype), atol=0.01)
    picture = spectrograms(torch.from_numpy(sine(hertz, size=0.1))[None])[0, :, 64, 10]
    assert torch.allclose(picture, torch.tensor(1 - 20 / RANGE, dtype=picture.dtype), atol=1e-3)


def test_a_click_is_brightest_at_its_own_column():
    for column in (10, 64, 120):
        click = torch.zeros(1, LENGTH)
        click[0, round(TIMES[column].item() * RATE)] = 1
        assert spectrograms(click)[0, 0].mean(dim=0).argmax() == column


def test_a_spectrogram_agrees_with_scipys(sounds):
    from scipy import signal

    values = sounds.waveforms[0].double().numpy()
    padded = np.pad(values, 128, mode="reflect")
    _, _, theirs = signal.spectrogram(
        padded, window=signal.get_window("hann", 256), noverlap=192, detrend=False, mode="magnitude", scaling="spectrum"
    )
    ours = 10 ** (levels(sounds.waveforms[:1].double())[0].flip(0) / 20)
    assert np.allclose(2 * theirs[1:], ours, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(LENGTH,), (2, LENGTH - 1), (1, 2, LENGTH)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"wanted \(N, 8128\): put a single sound into a batch"):
        stft(torch.zeros(shape))


@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_a_mask_of_ones_gives_the_sound_back_and_one_of_zeros_silence(sounds, dtype, bound):
    waveforms = sounds.waveforms.to(dtype)
    ones = torch.ones(len(sounds), SIDE, SIDE)
    assert (masked(waveforms, ones) - waveforms).abs().max() < bound
    assert (masked(waveforms, ones.bool()) - waveforms).abs().max() < bound
    assert (masked(waveforms, 0 * ones) == 0).all()


def test_a_mask_and_its_complement_add_up_to_the_sound(sounds):
    masks = torch.rand(len(sounds), SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    both = masked(sounds.waveforms, masks) + masked(sounds.waveforms, 1 - masks)
    assert (both - sounds.waveforms).abs().max() < 1e-6


def test_a_mask_takes_away_what_lies_in_its_rows():
    low, high = (torch.from_numpy(sine(FREQUENCIES[row].item()))[None] for row in (100, 20))
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, :60] = 1  # the high half
    assert relative(masked(low + high, mask), high) < 0.01
    assert relative(masked(low + high, 1 - mask), low) < 0.01


def test_a_mask_takes_away_what_lies_in_its_columns():
    noise = torch.randn(1, LENGTH, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(1, SIDE, SIDE)
    mask[..., :64] = 1
    kept, middle = masked(noise, mask), 64 * 64
    assert torch.allclose(kept[:, : middle - 256], noise[:, : middle - 256], atol=1e-5)
    assert (kept[:, middle + 256 :] == 0).all()


def test_the_way_back_from_a_picture_sounds_as_it_looks(sounds):
    images = sounds.images
    made = spectrograms(sounds_of(images, steps=30))
    error = (made - images).abs().mean(dim=(1, 2, 3))
    far = (images.roll(1, 0) - images).abs().mean(dim=(1, 2, 3))
    assert (error < 0.5 * far).all()
    first = (spectrograms(sounds_of(images, steps=0)) - images).abs().mean(dim=(1, 2, 3))
    assert (error < first).all(), "the steps help"
    assert torch.equal(sounds_of(images[:1], steps=2), sounds_of(images[:1], steps=2))
    assert (sounds_of(torch.zeros(1, 3, SIDE, SIDE)) == 0).all(), "black is silence"


def test_a_tone_comes_back_from_its_picture_at_its_pitch_and_loudness():
    hertz = FREQUENCIES[90].item()
    made = sounds_of(spectrograms(torch.from_numpy(sine(hertz).astype(np.float32))[None]))
    assert peak(spectrograms(made)[0]) == hertz
    assert made[0, 500:-500].std().item() == pytest.approx(0.5 / 2**0.5, rel=0.1)


# Seen and heard


def test_players_hold_the_sounds_as_they_are_but_for_one_factor():
    import base64
    import io
    import re

    quiet, loud = 0.25 * torch.ones(LENGTH), torch.from_numpy(sine(440, size=4.0))
    shown = play({"soft": quiet, "loud & <odd>": loud}).data
    assert "loud &amp; &lt;odd&gt;" in shown and shown.count("<audio") == 2
    files = [base64.b64decode(each) for each in re.findall(r"base64,([^\"]+)\"", shown)]
    for content, wanted in zip(files, (quiet / loud.abs().max(), loud / loud.abs().max()), strict=True):
        rate, values = wavfile.read(io.BytesIO(content))
        assert rate == RATE and np.allclose(values / 32767, wanted, atol=1e-4)
    play({"silence": torch.zeros(LENGTH)})
    assert play({}).data.count("<audio") == 0


def test_the_axes_of_a_panel_stand_where_the_frequencies_are(sounds):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    shown = panel(sounds.images[0], "chirp", mask=sounds.masks[0])
    shown.draw(axes)
    ticks = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    assert [FREQUENCIES[int(ticks[f"{k} kHz"])].item() for k in (1, 2, 3, 4)] == [1000, 2000, 3000, 4000]
    assert [float(TIMES[int(place)]) for place in axes.get_xticks()[:1]] == [0.0]
    assert axes.get_xticks()[1] == pytest.approx(0.5 * RATE / 64)
    assert shown.kind == "spectrogram with the border of a mask"
    assert panel(sounds.images[0]).kind == "spectrogram"


# Files


def write_wav(path, values, rate, width):
    """Write values (count, channels) in [-1, 1] as whole numbers of `width` bytes, by the standard library."""
    values = np.atleast_2d(values.T).T
    levels_of = np.round(values * (2 ** (8 * width - 1) - 1)).astype(np.int64)
    if width == 1:
        levels_of += 128
    raw = levels_of.astype("<i8").view(np.uint8).reshape(*levels_of.shape, 8)[..., :width].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(raw)
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_file_of_each_width_comes_back_as_it_was(tmp_path, width, channels):
    values = sine(700) + sine(1900, size=0.2)
    sides = np.stack([1.2 * values, 0.8 * values], axis=1)[:, :channels] if channels == 2 else values
    sound = load_sound(write_wav(tmp_path / "a.wav", sides, RATE, width))
    assert sound.dtype == torch.float32 and sound.shape == (LENGTH,)
    assert np.abs(sound.numpy() - values).max() < max(2.0 ** (2 - 8 * width), 1e-6)  # a step and a half


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wav_file_of_floats_comes_back_as_it_was(tmp_path, dtype):
    wavfile.write(tmp_path / "a.wav", RATE, sine(700).astype(dtype))
    assert np.allclose(load_sound(tmp_path / "a.wav"), sine(700), atol=1e-6)


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_another_rate_keeps_pitch_loudness_and_place(tmp_path, rate):
    values = sine(1000, rate, rate)
    values[: rate // 4] = 0
    sound = load_sound(write_wav(tmp_path / "a.wav", values, rate, 2))
    assert peak(spectrograms(sound[None])[0]) == 1000
    assert sound[3000:7000].std().item() == pytest.approx(0.5 / 2**0.5, rel=0.02)
    assert sound[:1900].abs().max() < 0.02
    onset = (sound.abs() > 0.25).nonzero()[0].item()
    assert onset == pytest.approx(2000, abs=20)


def test_what_is_too_high_for_the_rate_is_left_out_and_not_heard_as_something_else(tmp_path):
    sound = load_sound(write_wav(tmp_path / "a.wav", sine(7000, 44100, 44100), 44100, 2))
    assert sound[200:-200].abs().max() < 0.01


def test_a_long_file_gives_its_loudest_second_and_a_short_one_ends_in_silence(tmp_path):
    long = 0.01 * sine(500, count=5 * RATE)
    long[3 * RATE : 3 * RATE + LENGTH] = sine(2000)
    assert np.allclose(load_sound(write_wav(tmp_path / "a.wav", long, RATE, 2)), sine(2000), atol=1e-3)
    short = load_sound(write_wav(tmp_path / "b.wav", sine(500, count=800), RATE, 2))
    assert np.allclose(short[:800], sine(500, count=800), atol=1e-3) and (short[800:] == 0).all()


def no_wav(path):
    path.write_bytes(b"ID3\x04 an mp3 file, renamed" + bytes(500))


def no_bytes(path):
    path.write_bytes(b"")


def head_alone(path):
    write_wav(path, sine(500), RATE, 2)
    path.write_bytes(path.read_bytes()[:30])


def no_values(path):
    write_wav(path, np.zeros(0), RATE, 2)


def no_numbers(path):
    wavfile.write(path, RATE, np.full(100, np.nan, np.float32))


def a_law(path):
    write_wav(path, sine(500), RATE, 1)
    content = bytearray(path.read_bytes())
    content[20:22] = struct.pack("<H", 6)
    path.write_bytes(content)


def no_channels(path):
    write_wav(path, sine(500), RATE, 2)
    content = bytearray(path.read_bytes())
    content[22:24] = bytes(2)
    path.write_bytes(content)


def strange_rate(path):
    write_wav(path, sine(500), 2_000_000_000, 1)


BAD = [no_wav, no_bytes, head_alone, no_values, no_numbers, a_law, no_channels, strange_rate]


@pytest.mark.parametrize("write", BAD)
def test_a_bad_file_is_answered_with_one_sentence_that_names_it(tmp_path, write):
    write(tmp_path / "bad.wav")
    with pytest.raises(ValueError, match=r"^bad\.wav (cannot be read as a WAV file|holds no sound)") as raised:
        load_sound(tmp_path / "bad.wav")
    assert "\n" not in str(raised.value)


def test_a_file_cut_off_anywhere_is_read_or_refused_in_the_same_words(tmp_path):
    whole = write_wav(tmp_path / "whole.wav", np.stack([sine(500)] * 2, axis=1), 44100, 3).read_bytes()
    read = 0
    for length in [*range(0, 60), 1000, 1001, 1003, 5000, len(whole) - 1]:
        (tmp_path / "cut.wav").write_bytes(whole[:length])
        try:
            assert load_sound(tmp_path / "cut.wav").isfinite().all()
            read += 1
        except ValueError as error:
            assert str(error).startswith("cut.wav ")
    assert read >= 1


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"found no file .*absent\.wav: check its name"):
        load_sound(tmp_path / "absent.wav")


def test_a_folder_of_ones_own_gives_what_can_be_read_and_names_the_rest(tmp_path, capsys):
    assert own_sounds(tmp_path / "none") == {}
    assert "Put WAV files into the folder" in capsys.readouterr().out
    write_wav(tmp_path / "door.wav", sine(300), RATE, 2)
    write_wav(tmp_path / "Kettle.WAV", sine(900), RATE, 2)
    no_wav(tmp_path / "song.mp3")
    found = own_sounds(tmp_path)
    assert list(found) == ["Kettle", "door"]
    printed = capsys.readouterr().out
    assert printed.startswith("song.mp3 cannot be read as a WAV file") and printed.count("\n") == 1


# The network


def test_the_network_is_small_and_as_the_classifier_wants_it(model):
    assert (model.name, model.classes, model.input_size) == ("sounds", CLASSES, SIDE)
    assert sum(parameter.numel() for parameter in model.parameters()) < 40_000
    assert model.network.features(torch.rand(1, 3, SIDE, SIDE)).shape == (1, 32, 16, 16)
    assert model.cam_layer is model.network.features


def test_accuracy_on_fresh_sounds(model):
    fresh = draw_sounds(300, "pytest fresh")
    with torch.no_grad():
        right = model(fresh.images).argmax(dim=1) == fresh.labels
    assert right.float().mean() >= 0.95
    assert all(right[fresh.labels == label].float().mean() >= 0.85 for label in range(6))


def test_the_network_hears_the_sound_and_not_the_background(model):
    fresh = draw_sounds(60, "pytest mask")
    kept, thrown = masked(fresh.waveforms, fresh.masks), masked(fresh.waveforms, ~fresh.masks)
    with torch.no_grad():
        right = [(model(spectrograms(each)).argmax(dim=1) == fresh.labels).float().mean() for each in (kept, thrown)]
    assert right[0] > right[1] + 0.3


def test_drawn_pictures_are_those_of_the_sounds_to_a_grey_level():
    images, labels = training.draw_pictures("pytest", 70)  # more than are drawn at once
    sounds = draw_sounds(70, "pytest")
    assert torch.equal(labels, sounds.labels) and images.shape == (70, 3, SIDE, SIDE)
    assert (images / 255 - sounds.images).abs().max() <= 0.5 / 255 + 1e-6


def test_folding_the_batch_normalisation_changes_nothing():
    torch.manual_seed(0)
    network = networks.build(batch_norm=True)
    network(torch.randn(8, 3, SIDE, SIDE))
    images = torch.randn(2, 3, SIDE, SIDE)
    torch.testing.assert_close(fold_batch_norm(network)(images), network.eval()(images))


# The functions of other pages


@pytest.mark.parametrize("name", ["saliency", "Grad-CAM", "class visualization"])
def test_functions_for_pictures_take_spectrograms_unchanged(model, sounds, name):
    images, labels = sounds.images[:6], sounds.labels[:6]
    page, f = {
        "saliency": ("01_saliency", "compute_saliency_maps"),
        "Grad-CAM": ("02_gradcam", "grad_cam"),
        "class visualization": ("04_class_visualization", "class_visualization_step"),
    }[name]
    namespace = executed({"torch": torch, "nn": nn}, registry.page_of(page).exercises[f])
    function = namespace[f]
    if name == "saliency":
        maps = function(images, labels, model)
        assert maps.shape == (6, SIDE, SIDE) and (maps > 0).any(dim=2).any(dim=1).all()
    elif name == "Grad-CAM":
        maps = function(images, labels, model, model.cam_layer)
        assert maps.shape == (6, 16, 16) and (maps > 0).any(dim=2).any(dim=1).all()
    else:
        image = images[:1]
        for _ in range(5):
            image = function(image, 1, model, 0.0, 0.5)
        with torch.no_grad():
            assert model(image)[0, 1] > model(images[:1])[0, 1]
