"""Drawn sounds of six classes, their pictures, and the way back from a picture to a sound."""

from helpers.sounds.drawing import CLASSES, Sounds, draw_sounds

__all__ = ["CLASSES", "Sounds", "draw_sounds"]
