"""The addresses of the databases and the tracking server: the configured ones, else those of the embedded servers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from modelyard.settings import Settings
from modelyard.steps.platform import Platform, connected


@contextmanager
def stores(settings: Settings, *, tracking: bool) -> Iterator[Platform]:
    """The stores; what no setting gives an address of is started, shared with whoever uses it, and stopped afterwards.

    Args:
        settings: Says the addresses.
        tracking: Whether the tracking server will be used. It takes much longer to start than the database.

    Raises:
        BadInput: An embedded server cannot run here.
        StepFailed: An embedded server does not start.
    """
    raw, clean, tracking_uri = settings.raw_database_url, settings.clean_database_url, settings.mlflow_tracking_uri
    with ExitStack() as stack:
        if not (raw and clean and (tracking_uri or not tracking)):
            # Only here: where servers are configured, the libraries of the embedded ones need not be installed.
            from modelyard.local.postgres import embedded_postgres
            from modelyard.local.tracking import embedded_mlflow

            postgres = stack.enter_context(embedded_postgres(settings.home))
            raw, clean = raw or postgres.url("raw_data"), clean or postgres.url("clean_data")
            if tracking and not tracking_uri:
                tracking_uri = stack.enter_context(embedded_mlflow(settings.home, postgres))
        yield stack.enter_context(connected(settings, raw, clean, tracking_uri))
