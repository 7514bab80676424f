"""The words of an answer, counted."""

import html
import re

from helpers.writeup.formulas import formulas_out

_ADDRESS = r"\((?:[^()\n]|\([^()\n]*\))*\)"
_NOT_A_WORD = re.compile(
    rf"""
    <!--(?:(?!-->)[\s\S])*(?:-->)?          # a comment
  | !\[[^\]\n]{{0,300}}\](?:{_ADDRESS}|\[[^\]\n]{{0,300}}\])?   # a picture
  | (?<=\]){_ADDRESS}                       # the address of a link
  | ^[ ]{{0,3}}\[[^\]^\n]+\]:.*$            # an address to be referred to
  | \[\^[^\]\n]{{1,100}}\]:?                # the mark of a footnote
  | <?https?://[^\s>]+>?
  | </?[A-Za-z][^<>]*>                      # an HTML tag
  | ^[ \t>]*(?:`{{3,}}|~{{3,}}).*$          # the fence of a code block, with its language
  | ^[ \t>]*(?:[-+*]|\d+[.)])[ \t]+(?:\[[ xX]\][ \t])?   # the mark of a list's item
    """,
    re.VERBOSE | re.MULTILINE,
)


def count_words(text: str) -> int:
    """Return the number of words of an answer in Markdown.

    A word is what stands between white space and holds a letter or a digit. A formula is one word. Pictures, the
    addresses of links, HTML and the marks of Markdown are none.
    """
    text = formulas_out(text, lambda tex, displayed: "x")
    text = re.sub(r"<(?:br|p|div|li|t[dhr])\b[^<>]*>", " ", text, flags=re.IGNORECASE)
    text = html.unescape(_NOT_A_WORD.sub("", text))
    # The cells of a table need no space around them.
    text = re.sub(r"^[ \t>]*\|.*$", lambda row: row[0].replace("|", " "), text, flags=re.MULTILINE)
    return sum(any(map(str.isalnum, word)) for word in text.split())
