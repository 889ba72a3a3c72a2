"""The token that clients of a server send, as its environment has it."""

import os
from dataclasses import dataclass
from pathlib import Path

from resnet_ops.errors import ConfigError

__all__ = ["Token"]

_SHORTEST = 16


@dataclass(frozen=True)
class Token:
    """Where a server's token stands. variable: that holds it; with `_FILE` behind, that names a file with it."""

    variable: str

    @property
    def file_variable(self) -> str:
        """The variable that names a file."""
        return f"{self.variable}_FILE"

    def read(self) -> str | None:
        """What clients must send; None where neither variable is set.

        Raises ConfigError for one that is short, or a file that cannot be read.
        """
        token, file = os.environ.get(self.variable), os.environ.get(self.file_variable)
        if token is None and file is not None:
            try:
                token = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(
                    f"{self.file_variable} names {file}, which cannot be read ({type(error).__name__})."
                ) from None
        if token is not None and (len(token) < _SHORTEST or not token.isascii() or not token.isprintable()):
            raise ConfigError(
                f"The token of {self.variable if file is None else self.file_variable} must have at least {_SHORTEST} "
                "plain characters. Make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        return token
