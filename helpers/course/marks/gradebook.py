"""nbgrader's gradebook, which its converters open a dozen times for each submission."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from nbgrader import api


@contextmanager
def one_engine() -> Iterator[None]:
    """Let all gradebooks that are opened meanwhile at one address share an engine of SQLAlchemy's.

    Each would have an engine of its own, and each engine compiles all statements anew, which takes longer than they do.
    Connections are closed with every gradebook, as before.
    """
    create = api.create_engine
    api.create_engine = cache(create)
    try:
        yield
    finally:
        api.create_engine = create
