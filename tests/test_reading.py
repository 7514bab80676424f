"""Whatever bytes can be read as a notebook are, with a line for what was amiss; what cannot be is named in words."""

import copy
import gzip
import json
import re
import subprocess
import sys
import zipfile

import nbformat
import pytest

from helpers.course.intake import reading
from helpers.course.intake.reading import read
from tests.handed_out import RELEASE, F
from tests.piles import NAME, OTHER, answered, collected, pile, source_of, text_of, zipped

GOOD = answered("def f(x):\n    return 'Größe: 2 µ'")
TEXT = GOOD.encode()


def changed(change):
    """Return the text of a notebook after a change to its JSON."""
    notebook = json.loads(GOOD)
    change(notebook)
    return json.dumps(notebook)


def set_cell(n, **values):
    return changed(lambda notebook: notebook["cells"][n].update(values))


def without_keys(*keys):
    return changed(lambda notebook: [notebook.pop(key) for key in keys])


READABLE = {
    "windows": (GOOD.encode("cp1252", "xmlcharrefreplace"), "no UTF-8: [0-9]+; read as Windows code page 1252"),
    "one bad byte": (TEXT.replace(b"# Title", b"# Tit\xe9e"), "no UTF-8: 1;"),
    "utf-16": (GOOD.encode("utf-16"), ""),
    "utf-16 without a mark": (GOOD.encode("utf-16-be"), ""),
    "utf-32": (GOOD.encode("utf-32"), ""),
    "utf-8 with a mark": (GOOD.encode("utf-8-sig"), ""),
    "two marks": (b"\xef\xbb\xbf\xef\xbb\xbf" + TEXT, ""),
    "zeros at the end": (TEXT + bytes(4096), ""),
    "zeros at both ends": (bytes(500) + TEXT + bytes(3), ""),
    "utf-16 with zeros": (GOOD.encode("utf-16-le") + bytes(64), ""),
    "bytes before": (b"HTTP/1.1 200 OK {x}\r\n\r\n" + TEXT, "holds other text beside the notebook"),
    "bytes after": (TEXT + b"\n</pre>", "holds other text beside the notebook"),
    "the tail of an older save": (TEXT + TEXT[-200:], "holds other text beside the notebook"),
    "a mark of git": (b"<<<<<<< HEAD\n" + TEXT, "merge conflict of git"),
    "gzip": (gzip.compress(TEXT), "gzip archive; unpacked"),
    "twice": (TEXT + b"\n" + TEXT, "holds 2 notebooks: the same one each time"),
    "commas too many": (re.sub(r"\n( *)([\]}])", r",\n\1\2", GOOD).encode(), "commas too many"),
    "line ends in a string": (TEXT.replace(b"\\n", b"\n"), ""),
    "as Jupyter's server sends it": (b'{"name": "x", "type": "notebook", "content": ' + TEXT + b"}", ""),
    "outputs null": (set_cell(3, outputs=None), "malformed cells that could be put right: 1"),
    "no outputs": (changed(lambda notebook: notebook["cells"][3].pop("outputs")), "put right: 1"),
    "an output that is none": (set_cell(3, outputs=[None, 7, {"output_type": "stream", "text": None}]), ""),
    "metadata null": (set_cell(0, metadata=None), "put right: 1"),
    "a source that is none": (set_cell(0, source=None), "put right: 1"),
    "a line that is none": (set_cell(0, source=["a", None, 7]), "put right: 1"),
    "a type that is none": (set_cell(0, cell_type="heading"), "put right: 1"),
    "no type": (changed(lambda notebook: notebook["cells"][3].pop("cell_type")), "put right: 1"),
    "a cell that is none": (changed(lambda notebook: notebook["cells"].insert(1, 7)), ""),
    "no version": (without_keys("nbformat", "nbformat_minor"), "its format is None.None; read as 4.5"),
    "a version in words": (changed(lambda notebook: notebook.update(nbformat="4")), "its format is 4.5; read as 4.5"),
    "a version to come": (changed(lambda notebook: notebook.update(nbformat=5)), "its format is 5.5; read as 4.5"),
    "no minor version": (without_keys("nbformat_minor"), ""),
    "odd metadata": (changed(lambda notebook: notebook.update(metadata=["x"])), ""),
    "no metadata": (without_keys("metadata"), ""),
    "keys of its own": (changed(lambda notebook: notebook.update(colab={"cells": 1}, nbformat_minor=-1)), ""),
    "other keys first": ('{"colab": {}, "x": [], ' + GOOD[1:], ""),
    "halves of characters": (set_cell(0, source="# \ud83d"), ""),
}


@pytest.mark.parametrize("fault", READABLE)
def test_what_can_be_read_is_read_with_a_line(tmp_path, fault):
    data, line = READABLE[fault]
    found = collected(pile(tmp_path, {f"ada/{NAME}": data, f"bob/{NAME}": answered()}))
    ada = found["ada", "01_saliency"]
    assert ada.refused == "" and source_of(ada).startswith("def f(x):\n    return 'Gr")
    assert re.search(line, "\n".join(ada.repairs)) is not None
    assert len(ada.repairs) >= bool(line)


NAMES = ["01_saliency.json", "01_saliency.txt", "01_saliency", "01_saliency.ipynb.html", "01_saliency.bak", "hw.ipynb_"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_one_whatever_its_ending(tmp_path, name):
    ada = collected(pile(tmp_path, {f"ada/{name}": GOOD, f"bob/{NAME}": GOOD}))["ada", "01_saliency"]
    assert ada.refused == "" and ada.repairs == [f"notebook: its file is named {name!r}; taken for 01_saliency"]


def test_a_zip_is_one_whatever_its_ending(tmp_path):
    files = {"ada/01_saliency.ipynb": zipped({"hw/01_saliency.ipynb": GOOD}), "bob/hw": zipped({NAME: GOOD})}
    files["carl_01_saliency.ipynb"] = zipped({NAME: GOOD})
    found = collected(pile(tmp_path, files))
    assert {student for student, _ in found} == {"ada", "bob", "carl"}
    assert not any(item.refused for item in found.values())
    assert "is a zip archive; the notebook in it is taken" in found["ada", "01_saliency"].repairs[0]


CUT = "it is not JSON: it ends in the middle; was the file cut off?"
UNREADABLE = {
    "cut in a string": (TEXT[: TEXT.index(b"Title") + 2], CUT),
    "cut after a cell": (TEXT[: TEXT.rindex(b"},")], CUT),
    "cut after a bracket": (b'{"cells": [', CUT),
    "a web page": (b"\n<!DOCTYPE html>\n<html>" + TEXT[1:500], "it is a saved web page"),
    "a conflict": (
        TEXT.replace(b'"cells": [', b'"cells": [\n<<<<<<< HEAD\n{"a": 1},\n=======\n{"a": 2},\n>>>>>>> main\n'),
        "it is a file with a merge conflict of git",
    ),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3", "it is a PDF"),
    "a picture": (b"\x89PNG\r\n\x1a\n", "it is a PNG picture"),
    "RAR": (b"Rar!\x1a\x07", "it is a RAR archive"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive"),
    "old Office": (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is a document of an old Microsoft Office"),
    "Word": (zipped({"[Content_Types].xml": "x", "word/document.xml": "x"}), "it is a Word document"),
    "nothing": (b"", "it is an empty file"),
    "zeros": (bytes(100), "it is a file of nothing but zeros"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
    "damaged gzip": (gzip.compress(TEXT)[:-20], "it is a gzip archive that is damaged or cut off"),
    "a program": (b"def f(x):\n    return {'a': 1}\n", "it is not JSON: Expecting property name enclosed in double"),
    "prose": (b"I could not do it.", "it is not JSON; it begins with 'I could not do it.'"),
    "other JSON": (b'{"a": 1}', "it is JSON, but no notebook: it has no cells"),
    "deep": (b'{"a":' * 100_000, "it is not JSON that can be read"),
}


@pytest.mark.parametrize("fault", UNREADABLE)
@pytest.mark.parametrize("beside", ["", "01_saliency (1).ipynb", "02_gradcam.ipynb"])
def test_what_cannot_be_read_is_named_in_words_also_beside_another_notebook(tmp_path, fault, beside):
    data, words = UNREADABLE[fault]
    other = answered() if beside != "02_gradcam.ipynb" else nbformat.writes(other_answered())
    files = {f"ada/{NAME}": data, f"bob/{NAME}": answered()} | ({f"ada/{beside}": other} if beside else {})
    said = "\n".join(
        line
        for (student, _), item in collected(pile(tmp_path, files)).items()
        if student == "ada"
        for line in [item.refused, *item.repairs]
    )
    assert words in said and said.replace("\n", "").isprintable()


def other_answered():
    other = copy.deepcopy(OTHER)
    other.cells[0].source = "def cam(x):\n    return x"
    return other


def test_of_two_notebooks_in_one_file_the_answered_one_counts(tmp_path):
    blank = nbformat.writes(RELEASE)
    files = {f"ada/{NAME}": answered() + blank, f"bob/{NAME}": blank + answered(), f"carl/{NAME}": blank + blank}
    found = {student: item for (student, _), item in collected(pile(tmp_path, files)).items()}
    assert source_of(found["ada"]) == source_of(found["bob"]) == F
    assert "2 notebooks: they differ; the last one with the most answers is taken" in found["ada"].repairs[0]
    assert "the same one each time" in found["carl"].repairs[0]


# ------------------------------------------------------------------------------------------------ size


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(reading, "LARGEST_KEPT", 100_000)


def large(output):
    notebook = nbformat.reads(answered(), 4)
    for n in (1, 3):
        notebook.cells[n].outputs = [output] * (n + 1)
    return nbformat.writes(notebook)


TRICKY = {
    "text": nbformat.v4.new_output("stream", text='"outputs": [ ]} \\" { \\\\\n' * 5_000),
    "lines": nbformat.v4.new_output("stream", text='"outputs": [\n' * 9_000),
    "picture": nbformat.v4.new_output("display_data", data={"image/png": "A" * 100_000}),
    "nested": nbformat.v4.new_output("display_data", data={"application/json": {"outputs": [[{"a": []}] * 9_000]}}),
}


@pytest.mark.parametrize("kind", TRICKY)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_a_file_whose_size_is_outputs_is_read_without_them(small, kind, encoding):
    notes = []
    notebook = read(large(TRICKY[kind]).encode(encoding), notes)
    expected = nbformat.reads(answered(), 4)
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in expected.cells]
    assert len(json.dumps(notebook)) < 200_000 and "are dropped" in notes[0]


def test_small_outputs_stay_where_large_ones_are_dropped(small):
    notebook = nbformat.reads(large(TRICKY["picture"]), 4)
    notebook.cells[6].outputs = [nbformat.v4.new_output("stream", text="mine")]
    assert read(nbformat.writes(notebook).encode()).cells[6].outputs[0].text == ["mine"]


def test_what_is_too_large_without_its_outputs_is_refused(small):
    with pytest.raises(ValueError, match="larger than 0 MB without its outputs"):
        read(answered(text_of("x" * 200_000)).encode())
    with pytest.raises(ValueError, match="it is a PDF"):
        read(b"%PDF" + b"x" * 200_000)
    with pytest.raises(ValueError, match="was the file cut off"):
        read(large(TRICKY["picture"]).encode()[:150_000])


@pytest.mark.slow
def test_190_megabytes_of_outputs_are_read_in_bounded_memory_and_time(tmp_path):
    """Also in a zip, where they are packed as tightly as a zip bomb."""
    output = nbformat.v4.new_output("stream", text="loss 0.1234\n" * 8_000_000)
    notebook = nbformat.reads(answered(), 4)
    notebook.cells[3].outputs, notebook.cells[6].outputs = [output], [output]
    text = json.dumps(notebook)
    assert 190e6 < len(text) < 210e6
    (tmp_path / "class" / "ada").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "class" / "ada" / "work.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, text)
    program = (
        "import resource, sys\nfrom helpers.course.intake.collect import collect\nfrom tests.piles import RELEASES\n"
        "before = resource.getrusage(resource.RUSAGE_SELF)\n"
        "ada, = collect(sys.argv[1], RELEASES)\n"
        "after = resource.getrusage(resource.RUSAGE_SELF)\n"
        "assert not ada.refused, ada.refused\n"
        "print((after.ru_maxrss - before.ru_maxrss) // 1000, after.ru_utime - before.ru_utime)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "class")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    megabytes, seconds = result.stdout.split()
    assert int(megabytes) < 700 and float(seconds) < 60


def test_a_notebook_of_thousands_of_own_cells_is_read(tmp_path):
    notebook = nbformat.reads(answered(), 4)
    notebook.cells[5:5] = [nbformat.v4.new_code_cell(f"x = {n}", id=f"x{n}") for n in range(4_000)]
    notebook.cells[2:2] = [nbformat.v4.new_markdown_cell(f"Note {n}", id=f"n{n}") for n in range(4_000)]
    (ada,) = collected(pile(tmp_path, {f"ada/{NAME}": nbformat.writes(notebook)})).values()
    assert ada.refused == "" and len(ada.notebook.cells) > 8_000
