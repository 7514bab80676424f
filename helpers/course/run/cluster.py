"""Runs on the machines of a Dask cluster that is there already. Needs the extra `cluster`.

A worker gets a notebook with hidden halves and limits, and gives back the notebook with its outputs. It isolates what
it runs as this machine does, and needs the course and its packages, as they are here, and nothing else.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from helpers.course.run import finished
from helpers.words import shortened

PATIENCE = 20  # seconds for a scheduler to answer, and for a first worker to come


class ClusterError(Exception):
    """Why nothing can be run on a cluster, and what to do."""


class Checked(Executor):
    """An executor on a cluster, each task of which is carried out only where the course is as it is here."""

    def __init__(self, executor: Executor, workers: int) -> None:
        """Hand every task on to `executor`, which carries out as many at once as it has `workers`."""
        self._executor, self._here, self.workers = executor, finished.surroundings(), workers

    def submit(self, task: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future:
        """Submit a task, as any executor does."""
        return self._executor.submit(carried_out, self._here, task, *arguments, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks."""
        self._executor.shutdown(wait and not cancel_futures)


def carried_out(there: Mapping[str, str], task: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Carry out a task on a worker; ClusterError where the worker may have come later and differs from `there`."""
    if differing := difference(there, finished.surroundings()):
        raise ClusterError(f"this worker differs from the machine that grades: {differing}")
    return task(*arguments, **options)


def difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Say in which of what outputs depend on two machines differ; "" where they do not."""
    return ", ".join(
        f"{name} is {there.get(name, 'not there')} and not {value}"
        for name, value in here.items()
        if there.get(name) != value
    )


@contextmanager
def executor(address: str) -> Iterator[Executor]:
    """Return an executor on the workers of the Dask scheduler at `address`, such as "tcp://10.0.0.5:8786".

    What a worker had begun when it was lost is begun again on another.

    Raises:
        ClusterError: there is no such scheduler, it has no workers, or one of them is not as this machine is.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError(
            "Dask is not installed here: pip install -e '.[cluster]', here and on the workers."
        ) from None
    try:
        client = Client(address, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # what answers in another language than a scheduler's can end in any
        why = shortened(f"{type(error).__name__}: {error}", 160)
        raise ClusterError(
            f"found no Dask scheduler at {address!r} ({why}); wanted the address that `dask scheduler` prints, such "
            "as tcp://10.0.0.5:8786: is it running, and can it be reached from here?"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise ClusterError(
                f"the Dask scheduler at {address} has no workers; wanted one at least: start some with "
                f"`dask worker {address} --nthreads 1`, in a checkout of this course."
            ) from None
        require_alike(client.run(finished.surroundings, on_error="return"))
        yield Checked(client.get_executor(pure=False), sum(client.nthreads().values()))


def require_alike(workers: Mapping[str, Mapping[str, str] | BaseException]) -> None:
    """Raise ClusterError where one of the workers {address: its surroundings, or why they are unknown} differs."""
    here = finished.surroundings()
    for address, there in workers.items():
        found = f"{type(there).__name__}: {there}" if isinstance(there, BaseException) else difference(here, there)
        if found:
            raise ClusterError(
                f"the Dask worker at {address} is not as this machine is: {found}. Outputs would differ for reasons of "
                "their own: give it the same checkout and the same packages (constraints.txt), and start it again."
            )
