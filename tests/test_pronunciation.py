"""The pronunciation dictionary: its rules, its scopes, and that what is said follows it."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from banks import dictionary
from banks.models import Bank, Character, Pronunciation
from banks.pronunciation import LONGEST_SPOKEN, Rule, RuleBroken, Rules, RuleTooSlow, SpokenTooLong, compiled
from providers.models import Provider
from studio.freshness import refresh
from studio.generate import Want, generate
from studio.lines import Draft, add
from studio.models import Project, ProjectPronunciation, Take
from tests.conftest import add_character
from tests.hearing import assert_heard
from tests.studio import signed_in, somebody


def spoken(text: str, *rules: Rule, language: str = "") -> str:
    return Rules(rules).apply(text, language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GIF and gif and Gif.", "jif and jif and jif."),
        ("gifs stay, and a_gif, and gif7.", "gifs stay, and a_gif, and gif7."),
        ("gif-maker, “gif”, gif", "jif-maker, “jif”, jif"),
        ("我有gif图", "我有jif图"),
        ("", ""),
    ],
)
def test_a_word_is_replaced_where_it_stands_whole(text: str, expected: str) -> None:
    assert spoken(text, Rule("gif", "jif")) == expected


def test_words_of_scripts_without_spaces_are_found_anywhere() -> None:
    assert spoken("他去重庆路。", Rule("重庆", "崇庆")) == "他去崇庆路。"
    assert spoken("東京都", Rule("東京", "とうきょう")) == "とうきょう都"


def test_the_longest_wins_and_nothing_is_replaced_twice() -> None:
    rules = (Rule("New", "Old"), Rule("New York", "Gotham"), Rule("Gotham", "wrong"), Rule("Old", "wrong"))
    assert spoken("New York, new day", *rules) == "Gotham, Old day"


def test_of_two_rules_for_a_word_the_nearer_scope_holds() -> None:
    near, far = Rules((Rule("x", "near"),)), Rules((Rule("x", "far"), Rule("y", "far")))
    assert Rules.joined(near, far).apply("x y") == "near far"


def test_case_is_minded_where_it_is_asked_for() -> None:
    assert spoken("US and us", Rule("US", "United States", match_case=True)) == "United States and us"
    assert spoken("STRASSE Straße", Rule("straße", "street")) == "STRASSE street"


@pytest.mark.parametrize(
    ("rule", "text", "holds"),
    [("en", "en-US", True), ("en-GB", "en", True), ("en", "de", False), ("en", "", True), ("", "de", True)],
)
def test_a_rule_holds_in_its_language(rule: str, text: str, holds: bool) -> None:
    assert (spoken("word", Rule("word", "said", language=rule), language=text) == "said") is holds


def test_words_with_signs_are_words_too() -> None:
    assert spoken("C++ and C, &c.", Rule("C++", "see plus plus"), Rule("&c.", "et cetera")) == (
        "see plus plus and C, et cetera"
    )


def test_patterns_come_first_and_may_name_groups() -> None:
    rules = (Rule("km", "wrong"), Rule(r"(\d+) ?km\b", r"\1 kilometres", is_pattern=True))
    assert spoken("5km, 12 km, km", *rules) == "5 kilometres, 12 kilometres, wrong"


@pytest.mark.parametrize(
    ("written", "said"),
    [("(", ""), ("a*", "b"), ("", "x"), ("a", r"\1"), ("a(b)", r"\2"), ("a", r"\g<n>")],
)
def test_a_pattern_that_can_not_work_is_refused(written: str, said: str) -> None:
    with pytest.raises(ValueError, match="."):
        compiled(Rule(written, said, is_pattern=True))


def test_a_catastrophic_pattern_ends_in_an_error_that_names_it() -> None:
    with pytest.raises(RuleTooSlow, match=r"“\(a\+\)\+\$” takes too long"):
        spoken("a" * 4000 + "b", Rule("(a+)+$", "", is_pattern=True))


def test_no_rule_makes_a_text_without_end() -> None:
    with pytest.raises(SpokenTooLong, match="longer than 100000"):
        spoken("a" * 5000, Rule(".", "x" * 200, is_pattern=True))
    with pytest.raises(SpokenTooLong):
        spoken("a " * 5000, Rule("a", "x" * 200))
    assert len(spoken("a " * 100, Rule("a", "x" * 200))) < LONGEST_SPOKEN


def test_groups_that_repeat_the_text_do_not_fill_the_memory() -> None:
    """Within its time, this one makes most of a gigabyte if nobody counts."""
    with pytest.raises(SpokenTooLong) as refused:
        spoken("a" * 20_000, Rule("(?s)(?=(.*)).", r"\1\1\1", is_pattern=True))
    assert refused.value.param == "input"


def test_patterns_have_one_time_for_all_of_them() -> None:
    slow = "(a|aa)+$"
    rules = [Rule(f"{slow}|{number}z", "", is_pattern=True) for number in range(2000)]
    with pytest.raises(RuleTooSlow):
        spoken("a" * 4000 + "b", *rules)


def test_a_pattern_that_only_an_older_version_took_is_named() -> None:
    with pytest.raises(RuleBroken, match=r"“\(” can't be used"):
        spoken("text", Rule("(", "", is_pattern=True))
    with pytest.raises(RuleBroken, match="“text” can't be used"):
        spoken("text", Rule("text", r"\7", is_pattern=True))


def test_a_pattern_may_be_looked_for_from_the_end() -> None:
    assert spoken("1 2 3", Rule(r"(?r)(\d)", r"<\1>", is_pattern=True)) == "<1> <2> <3>"


def test_one_strange_letter_does_not_make_the_rest_mind_case() -> None:
    assert spoken("İ GIF", Rule("gif", "jif")) == "İ jif"
    assert spoken("İSTANBUL", Rule("İstanbul", "Istambul")) == "Istambul"


def test_letters_with_accents_are_the_same_however_they_are_typed() -> None:
    composed, apart = "Nguy\u1ec5n", "Nguye\u0302\u0303n"
    for text, written in ((composed, apart), (apart, composed), (apart, apart)):
        assert spoken(f"Mr {text}.", Rule(written, "win")) == "Mr win."
    assert spoken(f"{apart} here", Rule("gif", "jif")) == f"{apart} here"


@pytest.mark.parametrize(
    ("rule", "text", "holds"),
    [
        ("zh-TW", "zh-CN", False),
        ("zh-TW", "zh", True),
        ("en", "en-GB", True),
        ("zh-Hant-TW", "zh-TW", True),
        ("zh-Hant", "zh-Hans", False),
        ("EN_us", "en-US", True),
        ("es-419", "es-ES", False),
    ],
)
def test_a_country_is_minded_where_both_name_one(rule: str, text: str, holds: bool) -> None:
    assert Rule("word", "said", language=rule).holds_in(text) is holds


def test_in_a_scope_the_rule_that_is_made_for_the_language_goes_first() -> None:
    scope = Rules((Rule("x", "all"), Rule("x", "german", language="de"), Rule("y", "y all")))
    assert [scope.apply("x y", language) for language in ("de-AT", "en", "")] == [
        "german y all",
        "all y all",
        "all y all",
    ]
    nearer = Rules((Rule("x", "near"),))
    both = Rules.joined(nearer, scope)
    assert both.apply("x", "de") == "near"
    assert both.fingerprint not in ("", Rules(both.rules).fingerprint)
    assert Rules.joined(Rules(), scope, Rules()).fingerprint == scope.fingerprint


def test_of_two_cases_of_a_word_the_first_rule_holds_that_fits() -> None:
    rules = (Rule("US", "United States", match_case=True), Rule("us", "we"))
    assert spoken("US us Us", *rules) == "United States we we"
    assert spoken("US us Us", *reversed(rules)) == "we we we"


TEXTS = st.text("ab AB.,-7é你好\u0301ßİ", max_size=80)
WORDS = st.lists(st.tuples(st.text("abAB你ßİ", min_size=1, max_size=3), TEXTS), max_size=5)


def composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@given(TEXTS, WORDS)
def test_whatever_the_rules_what_they_do_not_name_stays(text: str, words: list[tuple[str, str]]) -> None:
    rules = Rules(tuple(Rule(written, said) for written, said in words))
    traced = rules.traced(text)
    assert traced.text == rules.apply(text) == "".join(part for part, _rule in traced.parts())
    assert [part for part, rule in traced.parts() if rule] == [mark.rule.spoken for mark in traced.marks]
    untouched = "".join(rule.written if rule else part for part, rule in traced.parts())
    assert len(untouched) == len(composed(text) if traced.marks else text)
    same = Rules(tuple(replace(rule, spoken=rule.written, match_case=True) for rule in rules.rules))
    assert composed(same.apply(text)) == composed(text)


@given(TEXTS, WORDS, st.lists(st.sampled_from(["a+", "(b).", r"\b", "[^a]", "(?=7)", "你|好"]), max_size=4))
def test_the_marks_are_what_the_rules_said(text: str, words: list[tuple[str, str]], patterns: list[str]) -> None:
    rules = [Rule(pattern, "<x>", is_pattern=True) for pattern in patterns] + [Rule(*word) for word in words]
    traced = Rules(tuple(rules)).traced(text)
    ends = [0, *(end for mark in traced.marks for end in (mark.start, mark.end)), len(traced.text)]
    assert ends == sorted(ends)
    for mark in traced.marks:
        assert traced.text[mark.start : mark.end] == mark.rule.spoken
    assert "".join(part for part, _rule in traced.parts()) == traced.text


@given(st.text("()[]{}?*+|\\^$.-,<>=!:#abPgrx1N\\d ", max_size=14), st.text("\\1g<n>ab", max_size=5), TEXTS)
def test_whatever_is_typed_as_a_pattern_ends_in_a_rule_or_a_reason(written: str, said: str, text: str) -> None:
    rule = Rule(written, said, is_pattern=True)
    try:
        compiled(rule)
    except ValueError as error:
        assert str(error)
        return
    try:
        assert isinstance(spoken(text, rule), str)
    except (RuleTooSlow, SpokenTooLong) as error:
        assert error.message


def test_thousands_of_words_are_looked_up_not_tried_one_by_one() -> None:
    """Were each tried at each place, this would not end within the suite's limit."""
    rules = Rules(tuple(Rule(f"word{number}", f"said{number}") for number in range(2000)))
    assert rules.apply("word1999 and word7 " * 50_000) == "said1999 and said7 " * 50_000
    alike = Rules(tuple(Rule(f"word {number:04}", "said") for number in range(2000)))
    assert alike.apply("word word 1999 " * 50_000) == "word said " * 50_000


# As it is stored.


@pytest.fixture
def tales(db: None) -> Bank:
    bank = Bank.objects.create(name="Tales")
    add_character(bank, Provider.objects.create(name="Embedded", kind="embedded"), "Heart")
    return bank


def test_a_bank_goes_before_everybody(tales: Bank) -> None:
    Pronunciation.objects.create(written="word", spoken="common")
    assert dictionary.rules_for(tales.pk).apply("word") == "common"
    own = Pronunciation.objects.create(written="word", spoken="own", bank=tales)
    assert dictionary.rules_for(tales.pk).apply("word") == "own"
    assert dictionary.rules_for(None).apply("word") == "common"
    common, by_bank = dictionary.rules_by_bank()
    assert (common.apply("word"), by_bank[tales.pk].apply("word")) == ("common", "own")
    own.enabled = False
    own.save()
    assert dictionary.rules_for(tales.pk).apply("word") == "common"


def test_there_is_one_rule_for_a_word_in_each_scope(tales: Bank) -> None:
    for bank in (None, tales):
        Pronunciation(written="word", spoken="a", bank=bank).save()
        with pytest.raises(ValidationError, match="a rule for this already"):
            Pronunciation(written="word", spoken="b", bank=bank).full_clean()
        Pronunciation(written="word", spoken="b", bank=bank, language="en").full_clean()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"written": "  "}, "written"),
        ({"written": "(", "is_pattern": True}, "written"),
        ({"written": "a" * 201}, "written"),
        ({"written": "a", "spoken": "b" * 201}, "spoken"),
    ],
)
def test_a_rule_that_can_not_work_is_refused_at_its_field(db: None, values: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Pronunciation(**values).full_clean()
    assert field in refused.value.message_dict


@pytest.mark.django_db(transaction=True)
def test_the_api_says_what_the_dictionary_says(bank: Bank, client_http: httpx.Client) -> None:
    Pronunciation.objects.create(written="zebra", spoken="elephant")
    Pronunciation.objects.create(written=r"(\d)x", spoken=r"\1 times", is_pattern=True, bank=bank)
    body = {
        "model": "Stories",
        "voice": "Heart",
        "input": "The zebra walked 3x through the garden.",
        "response_format": "wav",
    }
    answer = client_http.post("/v1/audio/speech", json=body)
    assert answer.status_code == 200, answer.text
    assert_heard("The elephant walked three times through the garden.", answer.content)


@pytest.mark.django_db(transaction=True)
def test_a_pattern_that_takes_too_long_is_an_error_of_the_api(bank: Bank, client_http: httpx.Client) -> None:
    Pronunciation.objects.create(written="(a+)+$", spoken="", is_pattern=True)
    answer = client_http.post("/v1/audio/speech", json={"voice": "Heart", "input": "a" * 4000 + "b"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "pronunciation_too_slow"


# On pages.


def test_the_page_shows_what_a_sentence_becomes(tales: Bank) -> None:
    Pronunciation.objects.create(written="gif", spoken="jif", bank=tales)
    producer = signed_in(somebody("pia", "banks.view_pronunciation"))
    page = producer.get(
        "/admin/banks/pronunciation/try/", {"text": "A gif <b>", "bank": str(tales.pk)}
    ).content.decode()
    assert "A <mark>jif</mark> &lt;b&gt;" in page
    assert "No rule touches" in producer.get("/admin/banks/pronunciation/try/", {"text": "A gif"}).content.decode()
    Pronunciation.objects.create(written="(a|aa)+$", spoken="", is_pattern=True)
    slow = producer.get("/admin/banks/pronunciation/try/", {"text": "a" * 400 + "b"}).content.decode()
    assert "takes too long" in slow
    Pronunciation.objects.all().delete()
    Pronunciation.objects.create(written="hush", spoken="")
    silent = producer.get("/admin/banks/pronunciation/try/", {"text": "Hush!"}).content.decode()
    assert "leaves no words" in silent and "<del>hush</del>" in silent
    outsider = signed_in(somebody("otto"))
    assert outsider.get("/admin/banks/pronunciation/try/").status_code == 403


def test_a_rule_is_added_on_its_page_and_refused_at_its_field(tales: Bank) -> None:
    client = signed_in(somebody("root", superuser=True))
    values = {"written": "(", "spoken": "", "is_pattern": "on", "enabled": "on"}
    page = client.post("/admin/banks/pronunciation/add/", values)
    assert page.status_code == 200 and "This pattern can" in page.content.decode()
    assert not Pronunciation.objects.exists()
    client.post("/admin/banks/pronunciation/add/", {"written": " New  York ", "spoken": "Gotham", "enabled": "on"})
    assert Pronunciation.objects.get().written == "New York"


# In projects.


@pytest.fixture
def script(tales: Bank) -> Project:
    return Project.objects.create(name="Script", kind="phase", owner=somebody("ann"), bank=tales, format="wav")


def states(project: Project) -> dict[str, str]:
    return {line.text: line.state for line in project.lines.with_state()}


def done(project: Project) -> None:
    from tests.test_lines import spoken as speak_all

    generate(project, project.lines.all(), Want.MISSING, project.owner)
    speak_all(project)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", ["everybody", "bank", "project"])
def test_a_rule_makes_the_lines_stale_that_it_touches(script: Project, tales: Bank, scope: str) -> None:
    heart = Character.objects.get()
    add(script, [Draft("The gif.", character_id=heart.pk), Draft("No word.", character_id=heart.pk)])
    done(script)
    if scope == "project":
        ProjectPronunciation.objects.create(project=script, written="gif", spoken="jif")
    else:
        Pronunciation.objects.create(written="gif", spoken="jif", bank=tales if scope == "bank" else None)
    assert refresh(script) == 1
    assert states(script) == {"The gif.": "stale", "No word.": "done"}
    done(script)
    assert states(script) == {"The gif.": "done", "No word.": "done"}
    take = Take.objects.latest("pk")
    assert (take.text, take.spoken) == ("The gif.", "The jif.")


@pytest.mark.django_db(transaction=True)
def test_what_a_rule_breaks_is_left_out_with_the_reason(script: Project) -> None:
    heart = Character.objects.get()
    add(script, [Draft("Hush.", character_id=heart.pk), Draft("a" * 4000 + "b", character_id=heart.pk)])
    ProjectPronunciation.objects.create(project=script, written="hush", spoken="")
    ProjectPronunciation.objects.create(project=script, written="(a+)+$", spoken="", is_pattern=True)
    outcome = generate(script, script.lines.all(), Want.MISSING, User.objects.get())
    assert outcome.queued == 0
    assert sorted(outcome.refused) == [
        "The dictionary leaves no words to speak.",
        "The pronunciation rule “(a+)+$” takes too long on this text: make its pattern simpler.",
    ]
    assert json.dumps(states(script)).count("missing") == 2


def test_a_projects_page_adds_switches_and_tries_rules(script: Project) -> None:
    client = signed_in(script.owner)
    address = f"/studio/projects/{script.pk}/pronunciation/"
    assert client.get(address).status_code == 403
    client = signed_in(somebody("root", superuser=True))
    client.post(address, {"act": "add", "written": "gif", "spoken": "jif"})
    rule = script.pronunciations.get()
    twice = client.post(address, {"act": "add", "written": "gif", "spoken": "other"})
    assert "a rule for this already" in twice.content.decode() and script.pronunciations.count() == 1
    assert "<mark>jif</mark>" in client.get(address, {"text": "a gif"}).content.decode()
    client.post(address, {"act": f"off:{rule.pk}"})
    assert "No rule touches" in client.get(address, {"text": "a gif"}).content.decode()
    client.post(address, {"act": f"delete:{rule.pk}"})
    for gone in (rule.pk, "9" * 40, "²", ""):
        page = client.post(address, {"act": f"on:{gone}"}, follow=True)
        assert "It is not there any more." in page.content.decode()
    assert not script.pronunciations.exists()
    stranger = signed_in(somebody("otto", "studio.view_project", "studio.change_project"))
    assert stranger.post(address, {"act": "add", "written": "x", "spoken": "y"}).status_code == 404
