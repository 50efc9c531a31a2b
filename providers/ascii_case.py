"""Upper and lower case of ASCII letters only.

`str.upper` and `str.lower` also turn other letters into ASCII ones: "ı" and "ſ" into I and S, "K" (the Kelvin
sign) into k. A name that is matched without regard to case would then match a different text.
"""

from string import ascii_lowercase, ascii_uppercase

_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def ascii_upper(text: str) -> str:
    """The text with its ASCII letters in upper case."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def ascii_lower(text: str) -> str:
    """The text with its ASCII letters in lower case."""
    return text.lower() if text.isascii() else text.translate(_LOWER)
