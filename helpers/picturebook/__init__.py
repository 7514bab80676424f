"""The picture book: a drawn world of ten classes with masks, and the small networks that know it."""

from helpers.picturebook.objects import CLASSES
from helpers.picturebook.scenes import Scene, draw_scene

__all__ = ["CLASSES", "Scene", "draw_scene"]
