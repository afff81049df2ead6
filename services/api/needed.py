"""What must be set for the API to run, whoever starts it."""

from modelyard.errors import BadInput
from modelyard.settings import Settings


def database_url(settings: Settings) -> str:
    """Where predictions are kept.

    Raises:
        BadInput: It is not set.
    """
    if settings.raw_database_url is None:
        raise BadInput("RAW_DATABASE_URL is not set: the API keeps its predictions there")
    return settings.raw_database_url


def tracking_uri(settings: Settings) -> str:
    """Where models are.

    Raises:
        BadInput: It is not set.
    """
    if settings.mlflow_tracking_uri is None:
        raise BadInput("MLFLOW_TRACKING_URI is not set: the API takes its models from there")
    return settings.mlflow_tracking_uri
