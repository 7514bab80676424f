"""Drawn sounds: one of six kinds, with something else going on behind it, and where in the picture the sound is.

The same seed and index give the same sound in any process.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from helpers.sounds.spectrogram import LENGTH, RATE, levels, spectrograms

Wave = np.ndarray  # float64, values at RATE a second

PEAK = (0.03, 0.6)  # the largest value of a sound
HISS = (0.002, 0.02)  # standard deviation of the noise behind it
# Of a bell: how many times its pitch, and how loud.
PARTIALS = ((0.5, 0.4), (1.0, 1.0), (1.19, 0.6), (1.5, 0.4), (2.0, 0.7), (2.66, 0.4), (3.01, 0.3), (4.17, 0.2))
AUDIBLE = 30.0  # decibels below its loudest place down to which a sound counts as there


@dataclass(frozen=True, eq=False)
class Sounds:
    """A batch of sounds with what is known about them, as `helpers.pictures.Pictures` is one of pictures.

    `clean` (N, LENGTH) float32 is what the label names, `background` (N, LENGTH) what else is heard; `labels` (N,)
    int64; `names` the class name of each label.
    """

    clean: Tensor
    background: Tensor
    labels: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of sounds."""
        return len(self.labels)

    @property
    def waveforms(self) -> Tensor:
        """Return what is heard, (N, LENGTH), values in [-1, 1]."""
        return self.clean + self.background

    @property
    def images(self) -> Tensor:
        """Return the spectrograms of what is heard, (N, 3, SIDE, SIDE), values in [0, 1]."""
        return spectrograms(self.waveforms)

    @property
    def masks(self) -> Tensor:
        """Return where the sound itself is, bool (N, SIDE, SIDE).

        That is where it is louder than the background (the ideal binary mask of Wang 2005) and at most AUDIBLE dB less
        loud than at its loudest place.
        """
        clean = levels(self.clean)
        return (clean > levels(self.background)) & (clean > clean.amax(dim=(1, 2), keepdim=True) - AUDIBLE)


def draw_sounds(count: int, seed: int | str = 0, *, labels: Sequence[int] | None = None, first: int = 0) -> Sounds:
    """Draw `count` sounds of book `seed`.

    labels: the class of each, an index into CLASSES; without, the classes take turns.  first: the index of the first.
    """
    if labels is not None and len(labels) != count:
        raise ValueError(f"draw_sounds: found {len(labels)} labels, wanted one for each of the {count} sounds.")
    chosen = [int(labels[k]) if labels is not None else (first + k) % len(CLASSES) for k in range(count)]
    if any(not 0 <= label < len(CLASSES) for label in chosen):
        raise ValueError(f"draw_sounds: found labels {sorted(set(chosen))}, wanted 0 to {len(CLASSES) - 1}.")
    drawn = np.empty((2, count, LENGTH), np.float32)
    for k, label in enumerate(chosen):
        rng = random.Random(f"sounds/{seed}/{first + k}")
        noise = np.random.default_rng(rng.getrandbits(64))
        wave = KINDS[CLASSES[label]](rng, noise)
        drawn[0, k] = wave / np.abs(wave).max() * between(rng, PEAK)
        drawn[1, k] = background(rng, noise)
    clean, behind = torch.from_numpy(drawn)
    return Sounds(clean, behind, torch.tensor(chosen), tuple(CLASSES[label] for label in chosen))


def between(rng: random.Random, ends: tuple[float, float]) -> float:
    """Return a size between two, so that each decibel is as likely as any other."""
    low, high = ends
    return low * (high / low) ** rng.random()


def seconds(duration: float) -> Wave:
    """Return the times of as many values as last so long, from 0, in seconds."""
    return np.arange(round(duration * RATE)) / RATE


def tone(pitch: Wave, overtones: Sequence[float] = (1.0,)) -> Wave:
    """Return a tone whose pitch (Hz) changes with time: the sizes of its first, second, ... harmonic are given."""
    phase = 2 * math.pi * np.cumsum(pitch) / RATE
    heard = [size * np.sin(k * phase) * (k * pitch < RATE / 2) for k, size in enumerate(overtones, start=1)]
    return np.sum(heard, axis=0)


def faded(wave: Wave, fade: float) -> Wave:
    """Return a wave that comes and goes softly, in `fade` seconds each, or in half of its length."""
    steps = min(round(fade * RATE), len(wave) // 2)
    ramp = np.sin(np.linspace(0, math.pi / 2, steps)) ** 2
    return wave * np.concatenate([ramp, np.ones(len(wave) - 2 * steps), ramp[::-1]])


def placed(waves: Sequence[Wave], rng: random.Random, gap: tuple[float, float] = (0.0, 0.0)) -> Wave:
    """Return LENGTH values in which waves stand one after the other, with gaps (seconds), from a random onset on."""
    row = [waves[0]]
    for wave in waves[1:]:
        row += [np.zeros(round(rng.uniform(*gap) * RATE)), wave]
    whole = np.concatenate(row)
    onset = rng.randint(0, LENGTH - len(whole))
    return np.pad(whole, (onset, LENGTH - len(whole) - onset))


def band(noise: np.random.Generator, count: int, weight: Callable[[Wave], Wave]) -> Wave:
    """Return `count` values of noise whose spectrum is weighted by a function of the frequency (Hz)."""
    spectrum = np.fft.rfft(noise.standard_normal(count)) * weight(np.fft.rfftfreq(count, 1 / RATE))
    wave = np.fft.irfft(spectrum, count)
    return wave / (wave.std() or 1.0)


def chirp(rng: random.Random, noise: np.random.Generator) -> Wave:
    """A bird's call: one to three short whistles that glide up, or down."""
    low, ratio, up = rng.uniform(1100, 2000), rng.uniform(1.35, 1.85), rng.random() < 0.5
    times = seconds(rng.uniform(0.1, 0.25))
    glide = np.linspace(0, 1, len(times)) if up else np.linspace(1, 0, len(times))
    whistle = faded(tone(low * ratio**glide, (1.0, rng.uniform(0.0, 0.15))), 0.05)
    return placed([whistle] * rng.randint(1, 3), rng, gap=(0.03, 0.1))


def bell(rng: random.Random, noise: np.random.Generator) -> Wave:
    """A bell: struck at once, fading slowly, with partials that are no multiples of a pitch."""
    pitch, fading = rng.uniform(380, 850), rng.uniform(0.15, 0.4)
    times = seconds(rng.uniform(0.65, 1.0))
    wave = np.zeros(len(times))
    for ratio, size in PARTIALS:
        if ratio * pitch < RATE / 2:
            decay = np.exp(-times * ratio**0.7 / fading)
            wave += size * rng.uniform(0.5, 1.0) * decay * np.sin(2 * math.pi * ratio * pitch * times)
    wave[-400:] *= np.linspace(1, 0, 400)
    return placed([wave], rng)


def siren(rng: random.Random, noise: np.random.Generator) -> Wave:
    """A siren: a pitch that goes far up and down, slowly."""
    middle, swing, turns = rng.uniform(600, 1000), rng.uniform(1.3, 1.6), rng.uniform(1.6, 3.2)
    times = seconds(rng.uniform(0.6, 0.95))
    pitch = middle * swing ** np.sin(2 * math.pi * (turns * times + rng.random()))
    return placed([faded(tone(pitch, (1.0, rng.uniform(0.2, 0.5), rng.uniform(0.1, 0.3))), 0.03)], rng)


def drum(rng: random.Random, noise: np.random.Generator) -> Wave:
    """One to three strokes of a drum: a skin that booms and drops in pitch, a rattle at the start."""
    pitch, boom, rattle = rng.uniform(70, 170), rng.uniform(0.06, 0.12), rng.uniform(0.1, 0.35)
    times = seconds(0.22)
    strokes = []
    for _ in range(rng.randint(1, 3)):
        skin = tone(pitch * (1 + 0.8 * np.exp(-times / 0.03))) * np.exp(-times / boom)
        hiss = band(noise, len(times), lambda hertz: 1 / (1 + (hertz / 900) ** 2)) * np.exp(-times / 0.02)
        strokes.append(skin + rattle * hiss)
    return placed(strokes, rng, gap=(0.0, 0.12))


def noise_burst(rng: random.Random, noise: np.random.Generator) -> Wave:
    """A burst of noise from a band of frequencies, as of steam."""
    middle, width = rng.uniform(900, 2900), rng.uniform(350, 900)
    count = len(seconds(rng.uniform(0.15, 0.45)))
    hiss = band(noise, count, lambda hertz: np.exp(-(((hertz - middle) / width) ** 4)))
    return placed([faded(hiss, 0.02)], rng)


def vibrato(rng: random.Random, noise: np.random.Generator) -> Wave:
    """A held tone with harmonics whose pitch trembles a little, fast."""
    middle, depth, turns = rng.uniform(260, 650), rng.uniform(0.02, 0.045), rng.uniform(4.5, 7.5)
    times = seconds(rng.uniform(0.6, 0.95))
    pitch = middle * (1 + depth * np.sin(2 * math.pi * (turns * times + rng.random())))
    overtones = [rng.uniform(0.5, 1.0) / k**1.1 for k in range(1, 7)]
    return placed([faded(tone(pitch, overtones), 0.06)], rng)


def background(rng: random.Random, noise: np.random.Generator) -> Wave:
    """What is heard besides: noise, darker or brighter, and a few clicks and faint pips, which mean nothing."""
    slope = rng.uniform(0.0, 0.6)
    wave = between(rng, HISS) * band(noise, LENGTH, lambda hertz: (hertz + 60) ** -slope)
    for _ in range(rng.randint(0, 3)):
        click = seconds(0.01)
        click = rng.uniform(0.05, 0.15) * np.exp(-click / 0.001) * np.cos(2 * math.pi * rng.uniform(500, 3000) * click)
        wave += placed([click], rng)
    for _ in range(rng.randint(0, 3)):
        times = seconds(rng.uniform(0.04, 0.1))
        pip = rng.uniform(0.01, 0.04) * tone(np.full(len(times), rng.uniform(200, 3600)))
        wave += placed([faded(pip, 0.015)], rng)
    return wave


KINDS: dict[str, Callable[[random.Random, np.random.Generator], Wave]] = {
    "chirp": chirp,
    "bell": bell,
    "siren": siren,
    "drum": drum,
    "noise burst": noise_burst,
    "vibrato": vibrato,
}
CLASSES = tuple(KINDS)
