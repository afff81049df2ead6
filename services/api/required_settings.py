"""What must be set for the API to run, whoever starts it."""

from modelyard.errors import BadInput
from modelyard.settings import Settings


def database_url(settings: Settings) -> str:
    """Where predictions are kept.

    Raises:
        BadInput: It is not set.
    """
    return _given(settings.raw_database_url, "RAW_DATABASE_URL", "keeps its predictions there")


def tracking_uri(settings: Settings) -> str:
    """Where models are.

    Raises:
        BadInput: It is not set.
    """
    return _given(settings.mlflow_tracking_uri, "MLFLOW_TRACKING_URI", "takes its models from there")


def _given(value: str | None, setting: str, use: str) -> str:
    if value is None:
        raise BadInput(f"{setting} is not set: the API {use}")
    return value
