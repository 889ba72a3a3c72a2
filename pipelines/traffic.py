"""The production split, as scripts of before asked for it, for one more release: `load_prepared(PRODUCTION)` now."""

from resnet_ops.data import PreparedData, load_prepared
from resnet_ops_pipelines.traffic import PRODUCTION

__all__ = ["production"]


def production() -> PreparedData:
    """The images that neither training nor gate has seen."""
    return load_prepared(PRODUCTION)
