"""Names that others restrict: changed where they must be, and no two become one."""

import hashlib
import re

__all__ = ["distinct"]

_DIGITS = 8


def distinct(name: str, longest: int) -> str:
    """The name with letters, digits, blanks, dots, dashes and underscores only, at most `longest` long.

    Where that changes it, it ends with a part of its digest, so that <5 mm and >5 mm, or two signs of any script, stay
    apart.
    """
    allowed = re.sub(r"[^\w\-. ]", "_", name).strip(" .")
    if allowed == name and len(name) <= longest:
        return name
    return f"{allowed[: longest - _DIGITS - 1]}-{hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]}"
