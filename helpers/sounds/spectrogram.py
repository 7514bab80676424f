"""From a sound to a picture that the functions for pictures take, and back to a sound.

A sound is a float tensor (N, LENGTH) with values in [-1, 1], RATE values a second. Its short-time Fourier transform S,
with a Hann window, has a row for each multiple of RATE / WINDOW Hz and a column for each HOP / RATE seconds. The
picture keeps how loud each place is, on a scale of decibels as ears have it:

    level = 20 log10(|S| / (sum of the window / 2))        0 dB for a sine of amplitude 1
    pixel = (level + RANGE) / RANGE, cut off to [0, 1]      black is RANGE dB below that, or less

three times over, since the networks take three channels. High frequencies are at the top, as everybody draws them: row
i is FREQUENCIES[i], column j is TIMES[j]. The constant part, 0 Hz, is left out: nobody hears it. The frequencies are
evenly spaced, and not by ear as in a mel spectrogram, so that each pixel is one number of S. What a map marks can
therefore be taken out of S itself, and heard.
"""

import math

import torch
from torch import Tensor

RATE = 8000  # values a second: frequencies up to half of it
WINDOW = 256  # values that one column hears
HOP = 64  # values from column to column; a quarter of the window, as the way back wants it
SIDE = 128  # rows and columns
LENGTH = (SIDE - 1) * HOP  # values of a sound, 1.016 seconds
RANGE = 80.0  # decibels from black to white
FREQUENCIES = torch.arange(SIDE, 0, -1) * RATE / WINDOW  # Hz, of each row: 4000 to 31.25
TIMES = torch.arange(SIDE) * HOP / RATE  # seconds, at the middle of each column's window


def stft(waveforms: Tensor) -> Tensor:
    """Return the short-time Fourier transform of sounds (N, LENGTH): complex (N, SIDE + 1, SIDE), 0 Hz first."""
    if waveforms.dim() != 2 or waveforms.shape[1] != LENGTH:
        raise ValueError(
            f"spectrogram: found sounds of shape {tuple(waveforms.shape)}, wanted (N, {LENGTH}): put a single sound "
            "into a batch with sound[None]; `load_sound` brings a file to this length."
        )
    return torch.stft(waveforms, WINDOW, HOP, window=_window(waveforms), return_complex=True)


def spectrograms(waveforms: Tensor) -> Tensor:
    """Return the pictures (N, 3, SIDE, SIDE) of sounds (N, LENGTH), values in [0, 1], in the sounds' dtype."""
    pixels = (levels(waveforms) + RANGE) / RANGE
    return pixels.clamp(0, 1)[:, None].repeat(1, 3, 1, 1)


def levels(waveforms: Tensor) -> Tensor:
    """Return how loud sounds (N, LENGTH) are at each place, in dB, (N, SIDE, SIDE), in the order of the picture."""
    sizes = stft(waveforms)[:, 1:].flip(1).abs() / (_window(waveforms).sum() / 2)
    return 20 * sizes.clamp(min=1e-10).log10()


def masked(waveforms: Tensor, masks: Tensor) -> Tensor:
    """Return what is left of sounds (N, LENGTH) where each place of their transform is multiplied by a mask's value.

    masks: (N, SIDE, SIDE), bool or values in [0, 1], in the order of the picture. The phase is that of the sound, so
    that a mask of ones gives it back, and a mask and its complement give two sounds that add up to it. 0 Hz, which has
    no row, goes with the lowest row.
    """
    weights = masks.to(waveforms).flip(1)
    weights = torch.cat([weights[:, :1], weights], dim=1)
    return _inverse(stft(waveforms) * weights)


def sounds_of(images: Tensor, steps: int = 60, seed: int = 0) -> Tensor:
    """Return sounds (N, LENGTH) whose pictures come near `images` (N, 3, SIDE, SIDE), by Griffin and Lim (1984).

    A picture has no phase. So a random one is drawn, by `seed`, and in each of `steps` steps it is replaced by that of
    the transform of the sound so far. Channels are averaged; black is silence. A picture that no sound has, such as a
    synthesised one, is approximated; what comes out may be louder than 1.
    """
    pixels = images.mean(dim=1).clamp(0, 1).flip(1)
    sizes = 10 ** ((pixels - 1) * RANGE / 20) * (_window(pixels).sum() / 2)
    sizes = torch.where(pixels > 0, sizes, 0)
    sizes = torch.cat([torch.zeros_like(sizes[:, :1]), sizes], dim=1)
    generator = torch.Generator().manual_seed(seed)
    phases = 2 * math.pi * torch.rand(sizes.shape, generator=generator, dtype=sizes.dtype).to(sizes.device)
    for _ in range(steps):
        phases = stft(_inverse(torch.polar(sizes, phases))).angle()
    return _inverse(torch.polar(sizes, phases))


def _inverse(transforms: Tensor) -> Tensor:
    window = _window(transforms.real)
    return torch.istft(transforms, WINDOW, HOP, window=window, length=LENGTH)


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(WINDOW, dtype=like.dtype, device=like.device)
