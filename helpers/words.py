"""Words of a sentence that a program says: a count with its noun, a long text cut short."""


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 word", "3 words"."""
    return f"{number} {noun}" + "s" * (number != 1)


def shortened(text: str, width: int) -> str:
    """Return a text on one line, with single spaces, in at most `width` characters; three dots stand for the rest."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."


def first_line(text: str) -> str:
    """Return the first line that is not blank, without the space around it; "" where there is none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
