"""Text files in the encodings that people have them in."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.decoding import ENCODINGS, FileTooLarge, NotText, UnknownEncoding, decode

MOST = 4 << 20
TEXTS = {
    "gb18030": [
        "你好，世界。今天天气很好。",
        "第一章 初见\n\n“你是谁？”她问道。\n他沉默了一会儿，才缓缓开口："
        "“我只是一个过路人。”窗外的雨还在下，屋里的灯光昏黄而温暖。",
        "安娜：你来了。\n鲍勃：是的。",
    ],
    "big5hkscs": [
        "你好，世界。今天天氣很好。",
        "「你是誰？」她問道。他沉默了一會兒，才緩緩開口：「我只是一個過路人。」窗外的雨還在下，屋裡的燈光昏黃而溫暖。",
    ],
    "cp932": [
        "こんにちは、世界。今日は天気がいいですね。",
        "「あなたは誰ですか」と彼女は尋ねた。彼はしばらく黙っていたが、やがてゆっくりと口を開いた。",
        "アンナ：来たのね。",
    ],
    "euc_jp": ["「あなたは誰ですか」と彼女は尋ねた。彼はしばらく黙っていたが、やがてゆっくりと口を開いた。"],
    "cp949": ["안녕하세요, 세계. 오늘은 날씨가 좋네요.", "그는 잠시 침묵하다가 천천히 입을 열었다."],
    "cp1252": [
        "Él dijo: «¿Qué pasó?» Señor Muñoz no contestó. The café — it’s “nice”.",
        "Elle répondit : « Je ne sais pas ce qui s’est passé là-bas, mais c’était déjà l’été. »",
    ],
    "cp1251": ["Привет, мир. Сегодня хорошая погода.", "Она спросила: «Кто ты?» Он помолчал и медленно ответил."],
}


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_an_encoding_is_found_by_its_looks(encoding: str, text: str) -> None:
    found = decode(text.encode(encoding), most_bytes=MOST)
    assert (found.text, found.guessed) == (text, True)
    assert found.encoding == encoding
    longer = decode((text + "\n").encode(encoding) * 4000, most_bytes=MOST)
    assert longer.text == (text + "\n") * 4000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["Plain.", "你好。", "Ünïcødé 😀", ""])
def test_a_mark_says_the_encoding(encoding: str, text: str) -> None:
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    marks = mark | {"utf-32-le": codecs.BOM_UTF32_LE, "utf-32-be": codecs.BOM_UTF32_BE}
    found = decode(marks[encoding] + text.encode(encoding), most_bytes=MOST)
    assert (found.text, found.encoding, found.guessed) == (text, encoding, False)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_seen_by_its_zeros(encoding: str) -> None:
    text = "Anna: Hello there.\nBob: 你好, and good bye.\n"
    found = decode(text.encode(encoding), most_bytes=MOST)
    assert (found.text, found.encoding, found.guessed) == (text, encoding, True)


@given(
    st.text(
        st.characters(
            codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\u2028\u2029\ufeff\ufffe\uffff"
        )
    )
)
def test_utf_8_is_never_anything_else(text: str) -> None:
    assert decode(text.encode(), most_bytes=MOST).text == text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whoever_knows_better_may_say_so(encoding: str) -> None:
    found = decode("Hello.\r\nThere.".encode(encoding), encoding, most_bytes=MOST)
    assert (found.text, found.encoding, found.guessed) == ("Hello.\nThere.", encoding, False)


def test_what_the_chosen_encoding_can_not_be_is_said() -> None:
    with pytest.raises(UnknownEncoding, match="Byte 4 of the file is no UTF-8: choose another encoding"):
        decode(b"abc\xff\xffdef", "utf-8", most_bytes=MOST)


def test_line_ends_become_one_kind_and_controls_go() -> None:
    assert decode("a\r\nb\rc\u2028d\x0be\x00".ljust(300).encode(), most_bytes=MOST).text.rstrip() == "a\nb\nc\nde"


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x24\0\0\0WAVE",
        b"PK\x03\x04rest",
        b"%PDF-1.7",
        bytes(range(256)) * 8,
        b"\x7fELF",
        b"\0" * 99,
    ],
    ids=["png", "wav", "zip", "pdf", "bytes", "elf", "zeros"],
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises((NotText, UnknownEncoding)):
        decode(data, most_bytes=MOST)


def test_a_file_beyond_the_limit_is_refused_unread() -> None:
    with pytest.raises(FileTooLarge, match="more than 4 MB"):
        decode(b"a" * (MOST + 1), most_bytes=MOST)


@given(st.binary(max_size=400))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text = decode(data, most_bytes=MOST).text
    except (NotText, UnknownEncoding):
        return
    assert "\x00" not in text and "\r" not in text
    text.encode()
