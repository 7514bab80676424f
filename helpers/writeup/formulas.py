"""Where the formulas of a text in Markdown are, as Jupyter finds them."""

import re
from collections.abc import Callable

# What Jupyter takes for a formula. Code and escaped dollars come first, since no formula begins in them; a formula
# holds no empty line; a dollar before a digit ends none ("between $5 and $6").
_FORMULA = re.compile(
    r"""
    (?P<code>
        ^(?P<margin>[ \t>]*)(?P<fence>`{3,}|~{3,}).*(?:\n(?![ \t>]*(?P=fence)).*)*(?:\n.*)?
      | (?<![`\\])(?P<ticks>`+)(?!`)(?:.|\n(?![ \t]*\n))*?(?<!`)(?P=ticks)(?!`)
    )
  | \\[$`]
  | \$\$(?P<display>(?:[^$\\\n]|\\.|\\?\n(?![ \t]*\n)|\$(?!\$))+)\$\$
  | \$(?P<inline>(?:[^$\\\n]|\\.|\\?\n(?![ \t]*\n))+)\$(?!\d)
  | (?P<environment>
        \\begin\{(?P<kind>(?:equation|align|gather|multline|eqnarray)\*?)\}
        (?:[^\\\n]|\n(?![ \t]*\n)|\\(?!(?:begin|end)\{(?P=kind)\}))+
        \\end\{(?P=kind)\}
    )
  | \\\\\[(?P<brackets>(?:[^\\\n]|\n(?![ \t]*\n)|\\(?!\\[\[\]]))+)\\\\\]
  | \\\\\((?P<parentheses>(?:[^\\\n]|\n(?![ \t]*\n)|\\(?!\\[()]))+)\\\\\)
    """,
    re.VERBOSE | re.MULTILINE,
)
_DISPLAYED = ("display", "environment", "brackets")
_IN_LINE = ("inline", "parentheses")


def formulas_out(text: str, put: Callable[[str, bool], str | None]) -> str:
    """Return Markdown with `put(tex, displayed)` in place of each formula; where this is None, the formula stays."""

    def replaced(found: re.Match) -> str:
        formula = _formula(found)
        instead = None if formula is None else put(*formula)
        return found[0] if instead is None else instead

    return _FORMULA.sub(replaced, text)


def _formula(found: re.Match) -> tuple[str, bool] | None:
    """Return a formula's TeX and whether it is displayed; None where code or an escaped dollar was found."""
    for kind in (*_DISPLAYED, *_IN_LINE):
        if found[kind] is not None:
            return found[kind].strip(), kind in _DISPLAYED
    return None
