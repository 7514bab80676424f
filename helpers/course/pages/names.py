"""Which names a cell binds, and which it needs from elsewhere.

Byte code is read, not the syntax tree: there it is already settled which names are local to a function.
"""

import ast
import dis
from dataclasses import dataclass, field
from functools import cache
from types import CodeType

LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_NAME", "DELETE_GLOBAL")


@dataclass
class Names:
    """Names that code binds at its top level, those that it needs to be there, and the modules that it imports."""

    bound: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)


@cache
def parsed(source: str) -> tuple[ast.Module, CodeType] | SyntaxError:
    """Return the syntax tree and the byte code of a cell, or what is wrong with it."""
    try:
        tree = ast.parse(source)
        return tree, compile(tree, "<cell>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error


def names(code: CodeType) -> Names:
    """Return the names of a cell."""
    found = Names()
    for step in dis.get_instructions(code):
        if step.opname == "STORE_NAME":
            found.bound.add(step.argval)
        elif step.opname in LOADS and step.argval not in found.bound:
            found.needed.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            found.imported.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            its = names(inner)
            found.needed |= its.needed - found.bound
            found.imported |= its.imported
    return found
