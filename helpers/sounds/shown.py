"""Sounds to be looked at and to be heard."""

import html
from collections.abc import Mapping

from IPython.display import HTML, Audio
from torch import Tensor

from helpers import plots
from helpers.sounds.spectrogram import FREQUENCIES, RATE, SIDE, TIMES

HERTZ = (1000, 2000, 3000, 4000)  # where the axis has its ticks
SECONDS = (0.0, 0.5, 1.0)


def panel(image: Tensor, title: str = "", *, mask: Tensor | None = None) -> plots.Panel:
    """Return a panel with a spectrogram (3, SIDE, SIDE), its axes in kHz and seconds, and the border of a mask."""
    base = plots.outline(image, title, masks=[] if mask is None else [mask])
    rows = [SIDE - hertz / float(FREQUENCIES[-1]) for hertz in HERTZ]
    columns = [second / float(TIMES[1]) for second in SECONDS]

    def draw(axes):
        base.draw(axes)
        axes.set_axis_on()
        axes.set_yticks(rows, [f"{hertz // 1000} kHz" for hertz in HERTZ], fontsize=7)
        axes.set_xticks(columns, [f"{second:g} s" for second in SECONDS], fontsize=7)
        axes.tick_params(length=2, pad=1)

    return plots.Panel(draw, "spectrogram" if mask is None else "spectrogram with the border of a mask", title)


def play(waveforms: Mapping[str, Tensor]) -> HTML:
    """Return a row of players for sounds (LENGTH,), each under its name, for a notebook to show.

    All of them are made louder or softer by one factor, with which the loudest is as loud as can be: so they can be
    compared.
    """
    top = max((float(waveform.abs().amax()) for waveform in waveforms.values()), default=0.0) or 1.0
    players = []
    for name, waveform in waveforms.items():
        heard = (waveform / top).detach().cpu().numpy()
        audio = Audio(heard, rate=RATE, normalize=False)._repr_html_()
        players.append(f'<figure style="margin: 4px"><figcaption>{html.escape(name)}</figcaption>{audio}</figure>')
    return HTML(f'<div style="display: flex; flex-wrap: wrap">{"".join(players)}</div>')
