"""Which object store is behind s3:// URLs."""

import fsspec.config

from modelyard.settings import Settings


def use_object_store(settings: Settings) -> None:
    """Has everything that this process opens at s3:// come from the object store of the settings.

    Args:
        settings: Its address and key; what is not set there is up to the environment, as with any client of S3.
    """
    region = settings.aws_default_region
    options = {
        "endpoint_url": settings.aws_endpoint_url,
        "key": settings.aws_access_key_id,
        "secret": settings.aws_secret_access_key,
        "client_kwargs": {"region_name": region} if region else None,
    }
    fsspec.config.conf["s3"] = {name: value for name, value in options.items() if value}
