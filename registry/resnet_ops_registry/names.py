"""Names as a person reads them, so that what looks like `champion` is `champion`."""

import unicodedata
from functools import lru_cache

__all__ = ["skeleton"]

# Letters that people take for a Latin one, after Unicode's confusables.txt (UTS 39): the alphabets of keyboards
# in use, not all of Unicode. Capitals stand on their own because Greek and Cyrillic ones look unlike their small
# letters.
_LOOKALIKES = {
    "a": "аɑαΑА",
    "b": "ЬВΒƄ",
    "c": "сϲⲥСϹᴄ",
    "d": "ԁꓒ",
    "e": "еεҽΕЕ℮",
    "f": "ꞙϝ",
    "g": "ɡցԌ",
    "h": "һհΗНᏂ",
    "i": "іıιɩΙІӀᎥ",
    "j": "јϳЈ",
    "k": "кκΚКᴋ",
    "l": "ӏⅼ",
    "m": "мΜМᴍ",
    "n": "ոηпΝ",
    "o": "оοσօⲟΟОᴏ",
    "p": "рρⲣΡР",
    "q": "ԛզ",
    "r": "гᴦⲅ",
    "s": "ѕꜱЅ",
    "t": "тτТΤᴛ",
    "u": "υսʋᴜ",
    "v": "νѵᴠ",
    "w": "ԝωѡᴡ",
    "x": "хχХΧ",
    "y": "уγΥУү",
    "z": "ᴢΖ",
}
LONGEST_KEPT = 300
_LATIN = {ord(letter): plain for plain, letters in _LOOKALIKES.items() for letter in letters}


def skeleton(name: str) -> str:
    """The name without case, accents, surrounding space, width and invisible signs, look-alikes made Latin.

    Equal skeletons mean that a person could take one name for the other.
    """
    return (_kept if len(name) <= LONGEST_KEPT else _kept.__wrapped__)(name)


@lru_cache(maxsize=1024)
def _kept(name: str) -> str:
    # before taking signs apart, too: that makes a sigma of the lunate sigma, which looks like a C
    apart = _apart(name.translate(_LATIN)).translate(_LATIN).casefold()
    plain = _apart(apart).translate(_LATIN)
    return "".join(
        sign for sign in plain if unicodedata.category(sign) not in ("Mn", "Me", "Cf", "Cc")
    ).strip()


def _apart(text: str) -> str:
    """NFKD of each sign: that of the whole text sorts accents, in time that grows with the square of their number."""
    return "".join(unicodedata.normalize("NFKD", sign) for sign in text)
