"""Typst in a folder of its own: the layout, a student's words and pictures, and the PDF made of them."""

import io
import zlib
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 595.0, 842.0  # A4, in pt
MARGIN = 62.0  # left and right
SIZES = (10.5, 10.0, 9.5, 9.0, 8.5, 8.0, 7.5, 7.0)  # of a page's text, in pt
PIXELS = 2000  # of a picture's longer side, at most
LAYOUT = Path(__file__).with_name("layout.typ")


@dataclass
class Sheet:
    """A question, or the first page, on its way onto paper.

    main: the Typst file
    about: what goes into its layout
    remarks: what there is to say about it
    given: what it was set with last: the size of the text in pt, the numbers of its pages
    pdf: what came of it
    pages: how many it takes
    """

    main: str
    about: dict
    remarks: list[str] = field(default_factory=list)
    given: dict = field(default_factory=dict)
    pdf: bytes = b""
    pages: int = 0

    @property
    def size(self) -> float:
        """The size of its text, in pt."""
        return self.given["size"]


class Press:
    """A folder in which Typst works: the layout, a student's words and pictures. Typst can read nothing else."""

    def __init__(self, folder: Path):
        """Put the layout in."""
        self.folder = folder
        self.put("layout.typ", LAYOUT.read_text("utf-8"))

    def put(self, name: str, text: str) -> None:
        """Put a file in."""
        (self.folder / name).write_text(text, "utf-8")

    def picture(self, content: bytes) -> tuple[str, float, float] | None:
        """Put a picture in; return its file, width and height in pt, or None where it is none that can be read."""
        try:
            given = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "GIF", "WEBP", "BMP"))
            given.thumbnail((PIXELS, PIXELS))
            # Written anew, since Typst stops at pictures that other programs put up with.
            picture = given.convert("RGBA" if given.has_transparency_data else "RGB")
            file = f"{zlib.crc32(content):08x}-{len(content)}.png"
            picture.save(self.folder / file)
        except Exception:
            return None
        return file, 0.75 * picture.width, 0.75 * picture.height

    def pdf(self, main: str, **inputs: float) -> bytes:
        """Return the PDF of a Typst file; RuntimeError where Typst cannot make one."""
        import typst

        given = {key: str(value) for key, value in inputs.items()}
        try:
            return typst.compile(str(self.folder / main), root=str(self.folder), font_paths=_fonts(), sys_inputs=given)
        except Exception as error:
            raise RuntimeError(str(error)) from error
        except BaseException as error:
            # A panic in Rust is not an Exception.
            if type(error).__name__ == "PanicException":
                raise RuntimeError(str(error)) from error
            raise

    def takes(self, typst: str) -> bool:
        """Return whether Typst can set a piece of text."""
        file = f"try-{zlib.crc32(typst.encode()):08x}-{len(typst)}.typ"
        self.put(file, f'#import "layout.typ": *\n#show: prose.with(10pt)\n{typst}')
        try:
            self.pdf(file)
        except RuntimeError:
            return False
        return True

    def set(self, sheet: Sheet, size: float, **numbers: int) -> None:
        """Set a sheet in a size, with the numbers of its first page, of its rest's first page, and of all pages."""
        from pypdf import PdfReader

        if (given := {"size": size, **numbers}) != sheet.given:
            sheet.pdf, sheet.given = self.pdf(sheet.main, **given), given
            sheet.pages = len(PdfReader(io.BytesIO(sheet.pdf)).pages)

    def printed(self, sheet: Sheet, **numbers: int) -> bytes:
        """Return the PDF of a sheet in its size, with the numbers of its pages."""
        self.set(sheet, sheet.size, **numbers)
        return sheet.pdf

    def fit(self, sheet: Sheet, **numbers: int) -> None:
        """Set a sheet in the largest size in which it fits one page, or in the smallest if there is none."""

        def fits(size: float) -> bool:
            self.set(sheet, size, **numbers)
            return sheet.pages == 1

        if not fits(SIZES[0]) and fits(SIZES[-1]):
            fits(SIZES[bisect_left(SIZES, True, lo=1, key=fits)])


@cache
def _fonts() -> Any:
    """Return the fonts to set in: Typst's own, and those of this computer for letters that they lack."""
    import typst

    return typst.Fonts()
