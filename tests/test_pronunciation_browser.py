"""The dictionary's pages in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from banks.models import Bank, Pronunciation
from tests.browser import NARROW, WIDE
from tests.test_pages_browser import Visit, browser, house, visit  # noqa: F401 - fixtures


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_what_a_sentence_becomes_is_shown_while_one_types(
    visit: Visit,  # noqa: F811
    house: Bank,  # noqa: F811
    width: int,
    dark: bool,
) -> None:
    Pronunciation.objects.create(written="Nguyen", spoken="win", language="en")
    Pronunciation.objects.create(written="hush", spoken="", bank=house)
    visitor = visit(width=width, dark=dark)
    page = visitor.page
    page.goto("/admin/banks/pronunciation/try/")
    page.get_by_label("Sentence").press_sequentially("Mr Nguyen said hush.")
    shown = page.locator("#nr-tried")
    expect(shown.locator("mark")).to_have_text("win")
    expect(shown).to_contain_text("Nguyen → win · en")
    expect(shown.locator("del")).to_have_count(0)
    page.get_by_label("Bank").select_option("Stories")
    expect(shown.locator("del")).to_have_text("hush")
    page.get_by_label("Language").fill("de")
    expect(shown.locator("mark")).to_have_count(0)
    page.get_by_label("Language").fill("")
    expect(shown.locator("mark")).to_have_count(1)
    visitor.assert_fits(width)
    visitor.shot(f"pronunciation-try-{width}")


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (NARROW, True)], ids=["wide-light", "narrow-dark"])
def test_a_file_is_imported_and_exported(
    visit: Visit,  # noqa: F811
    house: Bank,  # noqa: F811
    tmp_path: Path,
    width: int,
    dark: bool,
) -> None:
    visitor = visit(width=width, dark=dark)
    page, file = visitor.page, tmp_path / "rules.csv"
    page.goto("/admin/banks/pronunciation/")
    page.goto("/admin/banks/pronunciation/files/")
    file.write_text("written,spoken\nNguyen,win\n,x\n")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.locator(".nr-error").filter(has_text="Row 3")).to_be_visible()
    visitor.assert_fits(width)
    visitor.shot(f"pronunciation-files-{width}")
    file.write_text("written,spoken\nNguyen,win\n")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Rules added: 1")).to_be_visible()
    visitor.shot(f"pronunciation-list-{width}")
    page.goto("/admin/banks/pronunciation/files/")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "pronunciation.csv"
    assert '"Nguyen","win","","word","no","yes"' in Path(download.value.path()).read_text(encoding="utf-8-sig")
