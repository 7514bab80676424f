"""Calls of the C library that Python has no name for."""

import ctypes
import os

LIBC = ctypes.CDLL(None, use_errno=True)

# From the kernel's headers: prctl.h.
SET_PDEATHSIG, SET_DUMPABLE, SET_SECCOMP, SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38


def call(name: str, *arguments: object) -> None:
    """Call a function of the C library; OSError where it fails."""
    if getattr(LIBC, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
