"""The bytes of a text file as text, whatever it was written with.

TextFileError                   the base; its message is for people
├── FileTooLarge                more bytes than are taken
├── NotText                     a picture, a recording, a program: no text at all
└── UnknownEncoding             no encoding that we know fits, or the one that was asked for doesn't
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from charset_normalizer import from_bytes

# What a person may choose from, by Python's names, each with a name for people.
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "gb18030": "GB18030, GBK, GB2312",
    "big5hkscs": "Big5",
    "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "cp949": "EUC-KR",
    "cp1252": "Windows-1252",
    "cp1250": "Windows-1250",
    "cp1251": "Windows-1251",
    "koi8_r": "KOI8-R",
    "cp1253": "Windows-1253",
    "cp1254": "Windows-1254",
}
# Longest first: the mark of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
_MEDIA = (b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x00\x00\x00\x18ftyp", b"\x1aE\xdf\xa3")
_OTHERS = (b"PK\x03\x04", b"%PDF", b"\x7fELF", b"MZ\x90", b"\x1f\x8b", b"7z\xbc", b"Rar!", b"SQLite format 3\0")
_SIGNATURES = _PICTURES + _MEDIA + _OTHERS
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
# More of them in a hundred characters, and it is no text.
_CONTROLS_A_HUNDRED = 1
_SAMPLE = 64 * 1024
_SINGLE_BYTE = ["cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254"]

# What texts of a language are mostly made of. Bytes that are read with a wrong encoding give rare characters.
_CHINESE = (
    "的一是不了在人有我他中大上地到以要就出可也你生能而子那得下自之年作用道行所然家成方多去法如都"
    "同面起看定天分好小部其些主理心她本前但因只"
    "从想日者意力把十第公此已工使情明性知全三又正外高很最重物手向文美相被利二或新己身果加西月合回"
    "代信表化老世位次度任常先海教原立及比水名真"
    "走各入口平活更别打女四神安少才反受目太再必件直命山金指至形社便空治五基眼非即光像且思王完色路"
    "死交望今切白"
)
_COMMON = {
    "gb18030": _CHINESE + "这个们来为国说时会对于着过发后里种事经么学现当没动还进样开实军无它与长机民关点业将两间问并应"
    "战头体什话给门东儿声"
    "提员解论处义几认气题变总何电数报结谁问她默缓慢雨灯温吗呢吧，。“”！？：、",
    "big5hkscs": _CHINESE
    + "這個們來為國說時會對於著過發後裡種事經麼學現當沒動還進樣開實軍無它與長機民關點業將兩間問並應"
    "戰頭體什話給門東兒聲"
    "提員解論處義幾認氣題變總何電數報結誰問她默緩慢雨燈溫嗎呢吧，。「」！？：、",
    "cp949": "이가는을를에의로고하다한은도지기사시자아그나서리어인일여대정부수보장전주조원공제상해스라안과"
    "들마게습니세요오늘날씨좋네용있없것저내우때면말"
    "생각사람알보았었던으했되간구모개회신방성동소중무문위연관경계물질입침묵천히열",
}
_KANA = re.compile(r"[ぁ-ゖァ-ヺー、。「」]")
# This much of the letters must be what is common, for an East Asian encoding to be believed.
_LEAST_COMMON = 0.35


class TextFileError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FileTooLarge(TextFileError):
    pass


class NotText(TextFileError):
    pass


class UnknownEncoding(TextFileError):
    pass


@dataclass(frozen=True, slots=True)
class Decoded:
    """Lines end in a line feed alone. `guessed`: the file itself doesn't say its encoding; it may be another."""

    text: str
    encoding: str
    guessed: bool


def decode(data: bytes, encoding: str = "", *, most_bytes: int) -> Decoded:
    """With `encoding`, a name in ENCODINGS, as somebody chose; without, as the file says or as it looks."""
    if len(data) > most_bytes:
        raise FileTooLarge(f"The file has more than {most_bytes >> 20} MB: split it.")
    if data.startswith(_SIGNATURES):
        raise NotText("This is no text file. Save the script as plain text (.txt), then choose it again.")
    if encoding:
        return Decoded(_clean(_read(data, encoding)), encoding, guessed=False)
    for mark, marked in _MARKS:
        if data.startswith(mark):
            return Decoded(_clean(_read(data.removeprefix(mark), marked)), marked, guessed=False)
    return _looked_at(data)


def _read(data: bytes, encoding: str) -> str:
    if encoding.startswith("utf-16") and len(data) % 2:
        data = data[:-1]
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        name = ENCODINGS.get(encoding, encoding.upper())
        raise UnknownEncoding(f"Byte {error.start + 1} of the file is no {name}: choose another encoding.") from error


def _clean(text: str) -> str:
    controls = _CONTROLS.findall(text)
    if len(controls) * 100 > _CONTROLS_A_HUNDRED * len(text):
        raise NotText("This is no text file, or one in another encoding.")
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    return _CONTROLS.sub("", text)


def _looked_at(data: bytes) -> Decoded:
    sample = data[:_SAMPLE]
    if sideways := _unmarked_utf16(sample):
        return Decoded(_clean(_read(data, sideways)), sideways, guessed=True)
    try:
        return Decoded(_clean(data.decode("utf-8")), "utf-8", guessed=False)
    except UnicodeDecodeError:
        pass
    for encoding in filter(None, (_east_asian(sample), _single_byte(sample))):
        try:
            return Decoded(_clean(data.decode(encoding)), encoding, guessed=True)
        except UnicodeDecodeError:
            continue
    raise UnknownEncoding("The encoding of this file could not be found out: choose it, or save the file as UTF-8.")


def _unmarked_utf16(sample: bytes) -> str:
    """By the zeros beside each Latin letter, space or line end."""
    pairs = len(sample) // 2
    if not pairs:
        return ""
    big, little = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if little > 4 * big and little * 10 > pairs:
        return "utf-16-le"
    return "utf-16-be" if big > 4 * little and big * 10 > pairs else ""


def _east_asian(sample: bytes) -> str:
    """The encoding that makes the most common characters of the sample; empty where none makes enough of them."""
    best, best_share = "", _LEAST_COMMON
    for encoding in ("gb18030", "big5hkscs", "cp932", "euc_jp", "cp949"):
        share = _common_share(sample, encoding)
        if share > best_share:
            best, best_share = encoding, share
    return best


def _common_share(sample: bytes, encoding: str) -> float:
    try:
        # The sample may end in the middle of a character.
        text = codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return 0.0
    foreign = [character for character in text if character > "\x7f"]
    if not foreign:
        return 0.0
    common = frozenset(_COMMON.get(encoding, _CHINESE))
    known = sum(character in common for character in foreign)
    if encoding in ("cp932", "euc_jp"):
        # Half-width kana are what single bytes of anything look like.
        kana = len(_KANA.findall(text))
        known = kana + sum(character in common and not _KANA.match(character) for character in foreign) if kana else 0
    return known / len(foreign)


def _single_byte(sample: bytes) -> str:
    """Of those that look equally well the one that more files have."""
    matches = from_bytes(sample, cp_isolation=_SINGLE_BYTE)
    best = matches.best()
    if best is None:
        return ""
    tied = {one.encoding for one in matches if (one.chaos, one.coherence) == (best.chaos, best.coherence)}
    return next((name for name in _SINGLE_BYTE if name in tied), best.encoding)
