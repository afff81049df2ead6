"""CSV files of loan records, as many as a measurement wants."""

from pathlib import Path

from data.make_loan_approval import loan_records

# Made at a time, so that a big file needs no more memory than a small one.
CHUNK_ROWS = 250_000


def make_file(path: Path, rows: int) -> Path:
    """Writes so many loan records, the same at every call."""
    with path.open("w", encoding="utf-8", newline="") as file:
        for first in range(0, rows, CHUNK_ROWS):
            records = loan_records(min(CHUNK_ROWS, rows - first), seed=first, first_id=first)
            records.to_csv(file, header=first == 0, lineterminator="\n")
    return path
