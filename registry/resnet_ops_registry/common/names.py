"""Names as a person reads them, so that what looks like `champion` is `champion`."""

import unicodedata
from functools import lru_cache

__all__ = ["skeleton"]

# Letters that people take for a Latin one, after Unicode's confusables.txt (UTS 39): the alphabets of keyboards
# in use, and those whose capitals are drawn as Latin ones (Lisu, Cherokee, Coptic, small capitals); not all of Unicode.
# Capitals stand on their own because Greek and Cyrillic ones look unlike their small letters.
_LOOKALIKES = {
    "a": "аɑαΑАꓮᎪᴀⲁ",
    "b": "ЬВΒƄꓐᏴʙⲃƀɓ",
    "c": "сϲⲥСϹᴄꓚᏟ",
    "d": "ԁꓒꓓᎠᏧᴅđɗ",
    "e": "еεҽΕЕ℮ꓰᎬᴇⲉ",
    "f": "ꞙϝꓝꜰƒ",
    "g": "ɡցԌꓖᏀᏳɢ",
    "h": "һհΗНᏂꓧᎻʜⲏħ",
    "i": "іıιɩΙІӀᎥꓲɪⲓɨ",
    "j": "јϳЈꓙᎫᴊ",
    "k": "кκΚКᴋꓗᏦⲕƙ",
    "l": "ӏⅼꓡᏞʟł",
    "m": "мΜМᴍꓟᎷⲙ",
    "n": "ոηпΝꓠɴⲛ",
    "o": "оοσօⲟΟОᴏꓳøᎾ",
    "p": "рρⲣΡРꓑᏢᴘƥ",
    "q": "ԛզ",
    "r": "гᴦⲅꓣᎡᏒʀ",
    "s": "ѕꜱЅꓢᏚՏ",
    "t": "тτТΤᴛꓔᎢⲧŧ",
    "u": "υսʋᴜꓴՍ",
    "v": "νѵᴠꓦᏙ",
    "w": "ԝωѡᴡꓪᎳᏔ",
    "x": "хχХΧꓫⲭ",
    "y": "уγΥУүꓬᎩʏⲩ",
    "z": "ᴢΖꓜᏃ",
}
_LATIN = {ord(letter): plain for plain, letters in _LOOKALIKES.items() for letter in letters}
# letters in circles, boxes and flags, which Unicode does not take apart
_LATIN |= {start + n: chr(ord("a") + n) for start in (0x1F150, 0x1F170, 0x1F1E6) for n in range(26)}
_UNSEEN = ("Mn", "Me", "Cf", "Cc", "Cn", "Co", "Cs")
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs, by their category, that are drawn as nothing."""
LONGEST_KEPT = 300


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
    seen = (sign for sign in plain if sign not in _BLANK and unicodedata.category(sign) not in _UNSEEN)
    return "".join(seen).strip()


def _apart(text: str) -> str:
    """NFKD of each sign: that of the whole text sorts accents, in time that grows with the square of their number."""
    return "".join(unicodedata.normalize("NFKD", sign) for sign in text)
