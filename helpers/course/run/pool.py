"""Worker processes on this machine, which end with the grader however it ends."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process


@contextmanager
def pool(workers: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Have some workers, by default one per core. Where an error ends this, what still runs is ended and lost."""
    # Spawned, not forked: the parent holds threads and an open log.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), spawn, initializer=end_with_the_grader) as executor:
        try:
            yield executor
        except BaseException:
            # Ctrl-C or a full disk: what is still running would be lost anyway, and takes minutes.
            executor.shutdown(wait=False, cancel_futures=True)
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
