"""When something was handed in, as platforms write it."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from nbgrader.utils import parse_utc

# Year to second with one mark between the last three, as file names have it: nbgrader would read 10-10-10 as a zone.
_PLAIN = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[-_T ](\d\d)([-:.])(\d\d)(?:\5(\d\d))?)?")
_OFFSET = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?) ?([+-])(\d\d):?(\d\d)?")
_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)T?(\d\d)(\d\d)(\d\d)Z?")
# The first letters of the months, in the languages of the exports known to translate them.
_MONTHS = (
    "jan janv ene gen sty 1月",
    "feb fév fev lut 2月",
    "mar mär maa mrt mars 3月",
    "apr avr abr kwi 4月",
    "may mai maj mei mag 5月",
    "jun juin giu cze 6月",
    "jul juil lug lip 7月",
    "aug aoû aou ago sie 8月",
    "sep set wrz 9月",
    "oct okt out ott paź paz 10月",
    "nov lis 11月",
    "dec dez déc dic des gru 12月",
)
_IN_WORDS = re.compile(
    r"(?:(?P<month>[^\W\d_]{3,}|\d{1,2}月)\.? ?(?P<day>\d{1,2})|(?P<first>\d{1,2})\.? (?P<later>[^\W\d_]{3,})\.?),? "
    r"(?P<year>\d{4}),? (?P<hour>\d{1,2})[ :.h]?(?P<minute>\d\d) ?(?P<half>[ap]\.? ?m\.?)?\Z",
    re.IGNORECASE,
)


def utc(moment: Any) -> datetime | None:
    """Return a time in UTC and without a zone, or None for what is no time; one that names no zone is taken as UTC."""
    if isinstance(moment, datetime):
        return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment
    if not isinstance(moment, str) or not moment.strip():
        return None
    try:
        if plain := _PLAIN.fullmatch(moment.strip()):
            year, month, day, hour, _, minute, second = plain.groups(default="0")
            return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))
        if digits := _DIGITS.fullmatch(moment.strip()):
            return datetime.strptime("".join(digits.groups()), "%Y%m%d%H%M%S")
        if offset := _OFFSET.fullmatch(moment.strip()):
            east = timedelta(hours=int(offset[3]), minutes=int(offset[4] or 0))
            return datetime.fromisoformat(offset[1].replace("T", " ")) - (east if offset[2] == "+" else -east)
        return parse_utc(moment)
    except (ValueError, OverflowError, TypeError):
        return None


def in_words(moment: str) -> datetime | None:
    """Return a time such as "Sep 24, 2024 926 PM", "24 Sep, 2024 2126" or "24 sept. 2024 21 26", or None."""
    # Older exports put more before it: "Name- Sep 24, 2024 926 PM".
    match = _IN_WORDS.search(moment.strip())
    word = (match["month"] or match["later"]).casefold() if match else ""
    # The longest beginning decides: "mar" is in "mars", and "mai" is not "maj".
    month = max(
        ((len(start), n) for n, starts in enumerate(_MONTHS, 1) for start in starts.split() if word.startswith(start)),
        default=(0, 0),
    )[1]
    if match is None or not month:
        return None
    hour, half = int(match["hour"]), (match["half"] or "").casefold()
    if half:
        hour = hour % 12 + 12 * half.startswith("p")
    try:
        return datetime(int(match["year"]), month, int(match["day"] or match["first"]), hour, int(match["minute"]))
    except ValueError:
        return None
