"""Where the source of a use case is."""

from pathlib import Path


def resolve(source: str, data_url: str) -> str:
    """The path or URL that a use case's source stands for.

    Args:
        source: A path, absolute or below `data_url`, or a URL of its own.
        data_url: The folder or URL that holds the data.
    """
    if "://" in source or Path(source).is_absolute():
        return source
    return f"{data_url.rstrip('/')}/{source}"
