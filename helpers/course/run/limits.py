"""What a notebook may use while it runs, and what a cell is told when it used more."""

from dataclasses import dataclass, replace
from signal import Signals

import nbformat


@dataclass(frozen=True)
class Limits:
    """What a notebook may use.

    Seconds for one cell and for all of a student's cells; bytes of output, of all cells and of each hidden half; fresh
    starts of the kernel. In isolation also: bytes of memory of each process, bytes of files, processes and threads.
    Where `isolated`, nothing is run on a machine that offers no isolation; otherwise the best is used that the machine
    offers. Without `park`, hidden halves are answered by fresh kernels that replay the cells before them; without
    `warm`, every kernel imports everything anew. Neither changes a mark.
    """

    cell: int = 30
    notebook: int = 300
    output: int = 20_000_000
    restarts: int = 3
    memory: int = 12 << 30
    scratch: int = 256 << 20
    processes: int = 128
    isolated: bool = False
    park: bool = True
    warm: bool = True

    def times(self, factor: int) -> "Limits":
        """Return these limits with `factor` times the seconds."""
        return replace(self, cell=factor * self.cell, notebook=factor * self.notebook)


# The errors a cell gets from us.
ENDINGS = ("NotRun", "Stopped", "KernelDied", "KernelKilled", "TooMuchOutput")


def error_output(ename: str, evalue: str) -> nbformat.NotebookNode:
    """Return an error as a notebook output."""
    return nbformat.v4.new_output("error", ename=ename, evalue=evalue, traceback=[f"{ename}: {evalue}"])


DIED = error_output("KernelDied", "the kernel died while this cell ran")


def died(code: int | None, alone: bool = True) -> nbformat.NotebookNode:
    """Return the error of a cell in which the kernel died.

    Args:
        code: the exit code, negative for a signal's number; None where nobody knows.
        alone: nothing that a cell before it had started was there to end the kernel.
    """
    if code is None:
        return DIED
    names = {signal.value: signal.name for signal in Signals}
    how = f"with exit status {code}" if code >= 0 else f"of the signal {names.get(-code, -code)}"
    who = "an alarm" if names.get(-code) == "SIGALRM" else "something"
    or_else = "" if alone else f"; it may have been ended by this cell, or by {who} that a cell before it had started"
    return error_output(DIED.ename, f"{DIED.evalue}, {how}{or_else}")


UNSTOPPABLE = error_output("KernelKilled", "this cell could not be interrupted")
ENDED_TOO_OFTEN = error_output("NotRun", "the kernel ended too often")


def stopped(seconds: float) -> nbformat.NotebookNode:
    """Return the error of a cell that took more than its seconds."""
    return error_output("Stopped", f"stopped after {seconds:g} seconds")


def out_of_time(limits: Limits) -> nbformat.NotebookNode:
    """Return the error of a cell that was not run any more."""
    return error_output("NotRun", f"the cells before it took all {limits.notebook} seconds")


def flooded(limits: Limits) -> nbformat.NotebookNode:
    """Return the error of a cell that said too much."""
    return error_output("TooMuchOutput", f"more than {limits.output // 1_000_000} MB of output")


def is_stopped(notebook: nbformat.NotebookNode) -> bool:
    """Tell whether an executed notebook lacks anything for want of time."""
    errors = [output for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]
    return any(error.ename in ("Stopped", "KernelKilled", "NotRun") and error != ENDED_TOO_OFTEN for error in errors)
