"""The dictionary as a file: what goes out comes in again, no spreadsheet runs it, and errors name their rows."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from banks.dictionary import MOST_RULES, PronunciationRule
from banks.dictionary_files import bring_in, read_csv, write_csv
from banks.models import Bank, Pronunciation
from banks.roster import roster
from providers.audit import AuditEntry
from tests.admin_pages import person

FILES, EXPORT = "/admin/banks/pronunciation/files/", "/admin/banks/pronunciation/export/"
RIGHTS = [f"banks.{verb}_pronunciation" for verb in ("view", "add", "change")]


def values(row: PronunciationRule) -> tuple[Any, ...]:
    return (row.rule(), row.enabled)


def refusals(content: bytes) -> list[str]:
    with pytest.raises(ValidationError) as refused:
        read_csv(content)
    return refused.value.messages


def upload(content: bytes, **data: Any) -> dict[str, Any]:
    return {"file": SimpleUploadedFile("rules.csv", content, "text/csv"), **data}


LINE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12).map(str.strip)
WORDS = st.text("=+-@'\"＝;,\tab é", min_size=1, max_size=8).map(lambda text: " ".join(text.split())).filter(bool)
ROWS = st.lists(
    st.builds(
        Pronunciation, written=WORDS, spoken=LINE | WORDS, language=st.sampled_from(["", "en", "zh-TW"]),
        match_case=st.booleans(), enabled=st.booleans(),
    ),
    min_size=1, max_size=6, unique_by=lambda row: row.key,
)  # fmt: skip


@given(ROWS)
def test_what_goes_out_comes_in_again(rows: list[Pronunciation]) -> None:
    assert [values(row) for row in read_csv(write_csv(rows))] == [values(row) for row in rows]


@given(ROWS)
def test_no_cell_is_a_formula(rows: list[Pronunciation]) -> None:
    text = write_csv(rows).decode("utf-8-sig")
    for cells in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(tuple("=+-@＝＋－＠\t\r\n")) for cell in cells)


def test_a_pattern_goes_out_and_comes_in() -> None:
    rule = Pronunciation(written=r"(\d+), \"km\"", spoken=r"\1 kilometres", is_pattern=True)
    assert [values(row) for row in read_csv(write_csv([rule]))] == [values(rule)]


@pytest.mark.parametrize(
    "content",
    [
        b"written,spoken\nNguyen,win\n",
        b"\xef\xbb\xbfwritten;spoken;language\r\nNguyen;win;\r\n",
        b"Spoken\tWritten\nwin\tNguyen",
        b'"written","spoken","kind","match case"\n\n" Nguyen ","win","Word","NO"\n,,,\n',
        b"written,spoken,,\nNguyen,win,,\n",
    ],
    ids=["plain", "semicolons", "tabs", "quoted", "empty-columns"],
)
def test_files_as_programs_write_them(content: bytes) -> None:
    (row,) = read_csv(content)
    assert (row.written, row.spoken, row.is_pattern, row.match_case, row.enabled) == (
        "Nguyen", "win", False, False, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf", "The file is empty."),
        (b"written,spoken\n", "There is no rule in it."),
        (b"Nguyen,win\n", "Its first row has to name the columns"),
        (b"written,spoken,colour\na,b,c\n", "Its first row has to name the columns"),
        (b"written,spoken,spoken\na,b,c\n", "Its first row has to name the columns"),
        ("written,spoken\nNguyen,win".encode("utf-16"), "not UTF-8"),
        (b"written,spoken\ncaf\xe9,x\n", "not UTF-8"),
        (b'written,spoken\n"a"b,c\n', "Line 2 can't be read"),
        (b'written,spoken\n"a,c\n', "can't be read"),
        (b"written,spoken\na,b,c\n", "Row 2 has more cells"),
        (b"written,spoken\na," + b"x" * 200_000, "can't be read"),
        (b"written,spoken\n" + b"a,b\n" * (MOST_RULES + 1), "at most 2000 rules"),
    ],
    ids=range(13),
)
def test_a_file_that_can_not_be_read_says_why(content: bytes, reason: str) -> None:
    assert reason in " ".join(refusals(content))


def test_every_wrong_row_is_named() -> None:
    content = (
        "written,spoken,language,kind,match_case\n"
        "good,fine,,,\n"
        ",nothing,,,\n"
        "\n"
        "(,x,,pattern,\n"
        "a,b,,song,\n"
        "a,b,,,maybe\n"
        "good,again,,,\n"
        f"{'w' * 201},x,,,\n"
        "nul\0,x,,,\n"
    )
    found = refusals(content.encode())
    starts = ["Row 3: written:", "Row 5: written: This pattern", "Row 6: kind:", "Row 7: match_case:"]
    starts += ["Row 8: There is a rule for this already", "Row 9: written:", "Row 10: written: Null"]
    assert len(found) == len(starts) and all(map(str.startswith, found, starts)), found


def test_of_many_wrong_rows_the_first_are_told() -> None:
    found = refusals(b"written,spoken,kind\n" + b"a,b,song\n" * 50)
    assert len(found) == 21 and found[-1] == "And 30 more."


@pytest.mark.django_db
class TestBringingIn:
    def test_rules_are_added_and_take_the_place_of_others(self) -> None:
        tales = Bank.objects.create(name="Tales")
        Pronunciation.objects.create(written="gif", spoken="other bank's", bank=tales)
        gif = Pronunciation.objects.create(written="gif", spoken="ghif", enabled=False)
        Pronunciation.objects.create(written="kept", spoken="kept")
        brought = bring_in(read_csv(b"written,spoken\ngif,jif\nNguyen,win\nkept,kept\n"), None)
        assert (brought.added, brought.changed, brought.same) == (1, 1, 1)
        gif.refresh_from_db()
        assert (gif.spoken, gif.enabled) == ("jif", True)
        assert [row.written for row in Pronunciation.objects.filter(bank=None)] == ["gif", "kept", "Nguyen"]
        assert tales.pronunciations.get().spoken == "other bank's"

    def test_a_scope_does_not_grow_beyond_its_limit(self) -> None:
        Pronunciation.objects.bulk_create(Pronunciation(written=f"w{number}") for number in range(MOST_RULES - 1))
        with pytest.raises(ValidationError, match="at most 2000"):
            bring_in(read_csv(b"written,spoken\nw0,x\none,x\ntwo,x\n"), None)
        assert Pronunciation.objects.get(written="w0").spoken == ""
        assert bring_in(read_csv(b"written,spoken\nw0,x\none,x\n"), None).added == 1

    def test_few_queries_however_many_rules(self, django_assert_max_num_queries: Any) -> None:
        content = b"written,spoken\n" + b"".join(b"w%d,x\n" % number for number in range(MOST_RULES))
        with django_assert_max_num_queries(30):
            assert bring_in(read_csv(content), None).added == MOST_RULES


@pytest.mark.django_db
class TestPages:
    def test_a_file_comes_in_and_goes_out(self) -> None:
        tales = Bank.objects.create(name="Märchen")
        producer = person(*RIGHTS)
        content = "written,spoken,language\nNguyễn,win,en\n=SUM,sum,\n".encode()
        answer = producer.post(FILES, upload(content, bank=tales.pk), follow=True)
        assert "Rules added: 2, changed: 0, as they were: 0." in answer.content.decode()
        assert tales.pronunciations.count() == 2
        entry = AuditEntry.objects.latest("pk")
        assert (entry.object_name, entry.details) == ("Märchen", "Pronunciation rules imported from a file.")
        sent = producer.get(EXPORT, {"bank": tales.pk})
        assert sent["Content-Type"] == "text/csv; charset=utf-8" and "m%C3%A4rchen" in sent["Content-Disposition"]
        assert [row.written for row in read_csv(sent.content)] == ["Nguyễn", "=SUM"]
        assert b"'=SUM" in sent.content
        everybody = producer.get(EXPORT)
        assert len(everybody.content.splitlines()) == 1 and 'filename="pronunciation.csv"' in str(everybody.headers)

    def test_a_wrong_file_is_refused_at_its_field(self) -> None:
        page = person(*RIGHTS).post(FILES, upload(b"written,spoken\na,b\n ,<b>\n"))
        assert page.status_code == 200 and "Row 3: written:" in page.content.decode()
        assert not Pronunciation.objects.exists()
        too_large = person(*RIGHTS).post(FILES, upload(b"written,spoken\n" + b"a,b\n" * 1_100_000))
        assert "larger than 4 MB" in too_large.content.decode()
        Pronunciation.objects.bulk_create(Pronunciation(written=f"w{number}") for number in range(MOST_RULES))
        full = person(*RIGHTS).post(FILES, upload(b"written,spoken\na,b\n"))
        assert "at most 2000 rules" in full.content.decode()

    def test_rights(self) -> None:
        content = b"written,spoken\na,b\n"
        viewer = person(RIGHTS[0])
        assert "import_file" not in viewer.get(FILES).content.decode()
        assert viewer.get(EXPORT).status_code == 200
        for rights in ([RIGHTS[0]], RIGHTS[:2], [RIGHTS[0], RIGHTS[2]]):
            assert person(*rights).post(FILES, upload(content)).status_code == 403
        for path in (FILES, EXPORT):
            assert person().get(path).status_code == 403
            assert "/admin/login/" in Client().get(path)["Location"]
        strict = Client(enforce_csrf_checks=True)
        strict.cookies = person(superuser=True).cookies
        assert strict.post(FILES, upload(content)).status_code == 403
        assert not Pronunciation.objects.exists()

    def test_an_unknown_bank_is_no_error_of_the_server(self) -> None:
        admin = person(superuser=True)
        for bank in ("x", "999", "9" * 30):
            assert admin.get(EXPORT, {"bank": bank}).status_code == 302
            assert admin.post(FILES, upload(b"written,spoken\na,b\n", bank=bank)).status_code == 200

    def test_rules_are_switched_together(self) -> None:
        rows = [Pronunciation.objects.create(written=word, spoken="x") for word in ("a", "b", "c")]
        data = {"action": "switch_off", "_selected_action": [rows[0].pk, rows[1].pk]}
        answer = person(superuser=True).post("/admin/banks/pronunciation/", data, follow=True)
        assert "Rules switched off: 2." in answer.content.decode()
        assert [row.enabled for row in Pronunciation.objects.all()] == [False, False, True]
        assert AuditEntry.objects.filter(message="Switched off.").count() == 2
        viewer = person(RIGHTS[0]).post("/admin/banks/pronunciation/", {**data, "action": "switch_on"}, follow=True)
        assert viewer.status_code in (200, 403) and Pronunciation.objects.filter(enabled=False).count() == 2

    def test_the_rule_of_an_archived_bank_keeps_it(self) -> None:
        bank = Bank.objects.create(name="Old", active=False, archived_at="2026-01-01T00:00Z")
        rule = Pronunciation.objects.create(written="a", spoken="b", bank=bank)
        page = f"/admin/banks/pronunciation/{rule.pk}/change/"
        data = {"written": "a", "spoken": "c", "bank": bank.pk, "enabled": "on"}
        assert person(superuser=True).post(page, data).status_code == 302
        rule.refresh_from_db()
        assert (rule.spoken, rule.bank) == ("c", bank)


@pytest.mark.django_db(transaction=True)
def test_what_came_in_is_in_force_at_once() -> None:
    Bank.objects.create(name="Tales")
    before = roster.get_sync()
    bring_in(read_csv(b"written,spoken\ngif,jif\n"), None)
    assert roster.cached() is None and roster.get_sync() is not before
