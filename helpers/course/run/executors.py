"""What runs notebooks: processes of this machine, which end with the grader however it ends, or a cluster's workers."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process

from helpers.course.run import cluster


@contextmanager
def executor_on(workers: int | None = None, dask: str | None = None) -> Iterator[Executor]:
    """Return processes of this machine, by default one per core, or the workers of the Dask scheduler at an address.

    Where an error ends this, what still runs here is ended and lost.
    """
    if dask:
        with cluster.executor(dask) as executor:
            yield executor
        return
    # Spawned, not forked: the parent holds threads and an open log.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers or cores(), spawn, initializer=end_with_the_grader) as processes:
        try:
            yield processes
        except BaseException:
            # Ctrl-C or a full disk: what is still running would be lost anyway, and takes minutes.
            processes.shutdown(wait=False, cancel_futures=True)
            for worker in active_children():
                worker.kill()  # nbclient takes a gentler signal for itself, and the worker goes on
            raise


def end_with_the_grader() -> None:
    """Let this worker end when the grader is killed: it would wait for work for ever. Ctrl-C is the grader's."""
    # Not ignored: the kernels that it starts would ignore it, too.
    signal.signal(signal.SIGINT, lambda *_: None)

    grader = parent_process()
    assert grader

    def watch() -> None:
        grader.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def cores() -> int:
    """Return how many cores this process may use: of a shared machine, those that were given to it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
