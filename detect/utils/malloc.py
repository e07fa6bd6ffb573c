"""How the C library keeps memory."""

import ctypes
import os
import platform


def tune_malloc() -> bool:
    """Let glibc keep freed memory in the process, which saves its page faults: up to 1.5 x faster on the CPU.

    For command-line tools: resident memory stays at its peak. Without effect, returning False, where there is
    no glibc or the environment variable DETECT_DEFAULT_MALLOC is set.
    """
    if os.environ.get("DETECT_DEFAULT_MALLOC", "") not in ("", "0") or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # malloc.h
    settings = (
        (m_mmap_max, 0),
        (m_trim_threshold, -1),
        (m_top_pad, 64 << 20),
    )  # no mmap, no trim, 64 MiB steps
    return all([mallopt(option, value) == 1 for option, value in settings])
