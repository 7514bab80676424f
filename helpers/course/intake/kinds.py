"""What a file is, in words, by its first bytes: for what is no notebook."""

import re

# What a kind of file begins with.
_BEGINNINGS = (
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\xd0\xcf\x11\xe0", "a document of an old Microsoft Office"),
    (b"{\\rtf", "an RTF document"),
    (b"version https://git-lfs", "a pointer of Git LFS, which stands for a file that is somewhere else"),
    (b"bplist", "a property list of macOS"),
    (b"[InternetShortcut]", "a link to a web page"),
    (b"L\x00\x00\x00\x01\x14\x02\x00", "a shortcut of Windows"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
)
# What an archive of Office or OpenDocument has in it.
_PARTS = (
    (b"word/", "a Word document"),
    (b"xl/", "an Excel workbook"),
    (b"ppt/", "a PowerPoint presentation"),
    (b"opendocument.text", "an OpenDocument text"),
    (b"opendocument", "an OpenDocument file"),
    (b"epub", "an e-book"),
    (b"[Content_Types].xml", "a Microsoft Office document"),
)
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<body|<!--.*?-->\s*<(!doctype )?html)", re.IGNORECASE | re.DOTALL)
_CONFLICT = re.compile(rb"^<{7}[ \r\n].*?^={7}\r?$.*?^>{7}[ \r\n]", re.MULTILINE | re.DOTALL)
_NOTEBOOK = re.compile(rb'"(cell_type|nbformat)"\s*:')

# What may have been meant to be marked, where it is not a notebook.
_DOCUMENTS = ("PDF", "document", "presentation", "OpenDocument", "archive", "web page", "pointer", "link to a web page")

HEAD = 65_536  # bytes by which a file is known


def kind(data: bytes) -> str:
    """Return what a file is, such as "a PDF", or "" where its bytes do not tell."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data:
        return "an empty file"
    if not data.strip(b"\0"):
        return "a file of nothing but zeros"
    if is_zip(data):
        return next((words for part, words in _PARTS if part in data), "a zip archive")
    if words := next((words for beginning, words in _BEGINNINGS if data.startswith(beginning)), ""):
        return words
    if data[257:262] == b"ustar":
        return "a tar archive"
    if _PAGE.match(data):
        return "a saved web page"
    if b"<plist" in data[:500]:
        return "a property list of macOS"
    if _CONFLICT.search(data):
        return "a file with a merge conflict of git"
    return "an XML file" if data.lstrip().startswith(b"<?xml") else ""


def is_zip(head: bytes) -> bool:
    """Tell whether a file that begins like this is a zip, an empty one included."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_document(words: str) -> bool:
    """Tell whether a kind of file is one that a student may have handed in to be marked."""
    return any(each in words for each in _DOCUMENTS)


def begins_like_a_notebook(head: bytes) -> bool:
    """Tell whether a file that begins like this was meant to be a notebook, whatever its name is."""
    head = head.replace(b"\0", b"")
    return head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"{") and _NOTEBOOK.search(head) is not None
