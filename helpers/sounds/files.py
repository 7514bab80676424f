"""Sounds of the student's own: WAV files of any rate and width, brought to what a spectrogram takes."""

import math
import struct
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.sounds.spectrogram import LENGTH, RATE

RATES = range(1000, 768_001)  # values a second that a recording may have
OWN = "my_sounds"  # the folder beside a notebook for sounds of the student's own


def load_sound(path: str | Path) -> Tensor:
    """Return a WAV file as a sound: float32 (LENGTH,), values in [-1, 1], RATE a second.

    Integers of 8, 16, 24 or 32 bits and floats are read, at any rate; channels are averaged. Of a longer file, the
    second with the most energy is taken; a shorter one is followed by silence. Raises ValueError, with one sentence,
    for a file that is none of these.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"load_sound: found no file {path.absolute()}: check its name and folder.")
    rate, values = _read(path)
    length = math.ceil(LENGTH * rate / RATE)
    if len(values) > length:
        energy = np.cumsum(np.concatenate([[0.0], values.astype(np.float64) ** 2]))
        start = int(np.argmax(energy[length:] - energy[:-length]))
        values = values[start : start + length]
    # SciPy's filters take a moment to import, and only files need them.
    from scipy.signal import resample_poly

    common = math.gcd(rate, RATE)
    sound = torch.from_numpy(resample_poly(values, RATE // common, rate // common).astype(np.float32))[:LENGTH]
    return torch.nn.functional.pad(sound, (0, LENGTH - len(sound))).clamp(-1, 1)


def own_sounds(folder: str | Path = OWN) -> dict[str, Tensor]:
    """Return the WAV files of a folder as {name: sound (LENGTH,)}.

    Prints what was left out, and why; where there is no sound, it prints what to do.
    """
    folder, found = Path(folder), {}
    for path in sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith(".")):
        try:
            found[path.stem] = load_sound(path)
        except ValueError as error:
            print(error)
    if not found:
        print(f"No sounds yet. Put WAV files into the folder {folder.absolute()}, and run this cell again.")
    return found


def _read(path: Path) -> tuple[int, np.ndarray]:
    """Return rate and values, float32 in [-1, 1], of a WAV file of one channel or several."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks besides the sound, and a missing end
            rate, values = wavfile.read(path)
    except (ValueError, EOFError, struct.error, OSError, ArithmeticError, UnboundLocalError) as error:
        raise ValueError(
            f"{path.name} cannot be read as a WAV file ({error}): export it from Audacity as WAV, "
            f"or convert it with `ffmpeg -i {path.name} -c:a pcm_s16le new.wav`."
        ) from error
    if values.dtype == np.uint8:
        values = (values.astype(np.float32) - 128) / 128
    elif values.dtype.kind == "i":
        values = values.astype(np.float32) / -float(np.iinfo(values.dtype).min)
    else:
        values = values.astype(np.float32)
    if values.ndim == 2:
        values = values.mean(axis=1)
    if rate not in RATES or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"{path.name} holds no sound: found {len(values)} values at {rate} a second, wanted finite ones at "
            f"{RATES[0]} to {RATES[-1]} a second: save it anew."
        )
    return rate, values
