from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from banks.pieces import BLOCK, FIRST_PIECE, _blocks, speakable, split_into_pieces


def words(text: str) -> str:
    return "".join(text.split())


def test_short_text_is_one_piece() -> None:
    assert split_into_pieces("  Hello there. How are you? ", 100) == ["Hello there. How are you?"]


def test_pieces_end_where_sentences_end() -> None:
    text = "Dr. Smith went home. He was tired! Was it late? It was."
    assert split_into_pieces(text, 30) == ["Dr. Smith went home.", "He was tired! Was it late?", "It was."]


def test_the_first_piece_is_short_so_that_sound_comes_early() -> None:
    pieces = split_into_pieces("This is a sentence of some length. " * 40, 1000)
    assert len(pieces[0]) <= FIRST_PIECE < len(pieces[1])


def test_chinese_is_cut_at_its_own_marks() -> None:
    assert split_into_pieces("你好。世界真大！“好吗？”他说。", 8, "zh") == ["你好。世界真大！", "“好吗？”他说。"]


def test_a_long_sentence_is_cut_at_commas_then_at_spaces() -> None:
    pieces = split_into_pieces("one two three, four five six seven eight nine ten eleven twelve", 20)
    assert pieces[0] == "one two three,"
    assert all(len(piece) <= 20 for piece in pieces)


def test_a_word_longer_than_a_piece_is_cut_hard() -> None:
    assert split_into_pieces("a" * 25, 10) == ["a" * 10, "a" * 10, "a" * 5]


def test_pieces_without_words_are_left_out() -> None:
    assert split_into_pieces("Hello there my friend.\n\n* * * * * * * * * * * * * *\n\nGoodbye now.", 25) == [
        "Hello there my friend.",
        "Goodbye now.",
    ]
    assert split_into_pieces("🎉🎉🎉", 100) == []


def test_speakable_knows_scripts_from_signs() -> None:
    assert speakable("字") and speakable("7") and speakable("…é")
    assert not speakable("🎉 … !?") and not speakable("")


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Z"]), max_size=600), st.integers(5, 200))
def test_no_word_is_lost_doubled_or_out_of_order(text: str, limit: int) -> None:
    pieces = split_into_pieces(text, limit)
    kept = [character for character in words("".join(pieces)) if character.isalnum()]
    assert kept == [character for character in words(text) if character.isalnum()]
    assert all(len(piece) <= limit for piece in pieces)


def test_quotes_that_never_close_cost_no_more_than_others() -> None:
    """The whole text at once would take the segmenter time that grows with the square."""
    pieces = split_into_pieces("“a " * 16_000, 300)
    assert sum(piece.count("a") for piece in pieces) == 16_000
    assert max(map(len, _blocks("“a " * 16_000))) <= BLOCK
