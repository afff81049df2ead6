"""What runs beside the pipeline: services that read the contract from the registry and know no use case."""
