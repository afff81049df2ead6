"""Which reader reads the bodies of requests for a model."""

from modelyard.contract import Contract
from services.api.inputs.base import Reader
from services.api.inputs.table import TableReader


def make_reader(contract: Contract) -> Reader:
    """The reader for what a model takes."""
    if contract.features[0].is_image:
        # Only here: an API without models of pictures need not load their library.
        from services.api.inputs.image import PictureReader

        return PictureReader(contract)
    return TableReader(contract)
