"""What the process does with memory that it no longer needs."""

import ctypes

# Of glibc's malloc.h.
M_MMAP_THRESHOLD = -3
LARGE_BYTES = 1024 * 1024


def return_large_blocks() -> None:
    """Has blocks of a megabyte and more go back to the system when they are freed, where the C library is glibc.

    By default it learns from the first large block that is freed to keep the next ones, in each thread for itself:
    decoded pictures then left a gigabyte behind. See mallopt(3).
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
