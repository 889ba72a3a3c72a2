"""Every error that this project raises on purpose.

::

    ResnetOpsError          what a caller or the command line catches
    ├── ConfigError         a setting or a policy is wrong: the message names the key and its file
    ├── DataError           images, labels, manifests or logged rows are not what they must be
    ├── StorageError        a file or a database cannot be written: full, read-only, forbidden
    ├── ServiceError        a server does not answer
    ├── EvidenceError       a statement is not believed: signature, key, subject or form
    └── GateDenied          the gate refused a promotion
"""

__all__ = [
    "ConfigError",
    "DataError",
    "EvidenceError",
    "GateDenied",
    "ResnetOpsError",
    "ServiceError",
    "StorageError",
]


class ResnetOpsError(Exception):
    """Base class. The message says what is wrong, where, and what to do, in whole sentences."""


class ConfigError(ResnetOpsError):
    """A setting or a policy is wrong."""


class DataError(ResnetOpsError):
    """Data is missing, corrupt or does not fit."""


class StorageError(ResnetOpsError):
    """Something could not be written; what was there before is untouched."""


class ServiceError(ResnetOpsError):
    """A server or database does not answer."""


class EvidenceError(ResnetOpsError):
    """A statement is not believed."""


class GateDenied(ResnetOpsError):
    """The gate refused a promotion."""
