"""Regular expressions that are compiled when they are first used: most runs use few of them.

To compile those of `secret_rules` alone took a twentieth of a plan.
"""

import re
from typing import Any, AnyStr, cast


class _Pattern:
    """Stands for a pattern of `re`, with its methods."""

    def __init__(self, text: Any, flags: re.RegexFlag) -> None:
        self._text, self._flags = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self._text, self._flags), name)
        setattr(self, name, found)  # from now on as fast as the pattern itself
        return found


def pattern(text: AnyStr, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[AnyStr]:
    """What `re.compile` returns, later. Its methods raise `re.error` for an invalid text."""
    return cast("re.Pattern[AnyStr]", _Pattern(text, flags))
