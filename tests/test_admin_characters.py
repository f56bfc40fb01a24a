from __future__ import annotations

import json
import re
from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from PIL import Image, TiffImagePlugin

from banks.forms import MAX_SUGGESTIONS
from banks.images import avatar_image
from banks.models import Bank, Character, Membership, ReferenceAudio
from banks.storage import private_storage
from providers import adapters
from providers.models import CatalogueVoice, Provider
from tests.admin_pages import errors, memberships, person, picture

LIST = "/admin/banks/character/"
ADD = LIST + "add/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def everything_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapters._KINDS, "everything", "tests.everything_adapter.EverythingAdapter")


@pytest.fixture
def admin() -> Client:
    return person(superuser=True)


@pytest.fixture
def studio() -> Provider:
    return Provider.objects.create(name="Studio", kind="everything", base_url="http://127.0.0.1:9", api_key="sk")


@pytest.fixture
def inside() -> Provider:
    return Provider.objects.create(name="Inside", kind="embedded")


@pytest.fixture
def reference() -> ReferenceAudio:
    return ReferenceAudio.objects.create(name="Grandfather", file="references/nothing.wav", duration=2)


def character_data(provider: Provider, **values: Any) -> dict[str, Any]:
    return {
        "name": "Nova",
        "enabled": "on",
        "provider": provider.pk,
        "task_mode": "preset",
        "voice": "nova",
        "speed": "1.0",
        **memberships(),
        **values,
    }


def add(client: Client, opened: Provider, **values: Any) -> Any:
    return client.post(f"{ADD}?provider={opened.pk}", {**character_data(opened), **values})


def change(character: Character) -> str:
    return f"{LIST}{character.pk}/change/"


def upload(content: bytes, name: str = "me.png", kind: str = "image/png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, kind)


def stored_files() -> set[str]:
    storage = private_storage()
    return set(storage.listdir("avatars")[1]) if storage.exists("avatars") else set()


def test_without_a_provider_adding_leads_to_one(admin: Client) -> None:
    page = admin.get(ADD).content.decode()
    assert "There is no provider yet" in page and "/admin/providers/provider/add/" in page
    assert "/admin/providers/provider/add/" not in person("banks.add_character").get(ADD).content.decode()


def test_only_providers_that_can_be_used_are_offered(admin: Client, studio: Provider, inside: Provider) -> None:
    inside.enabled = False
    inside.save()
    gone = Provider.objects.create(name="Archived", kind="embedded", archived_at="2026-01-01T00:00Z")
    page = admin.get(ADD).content.decode()
    assert f"?provider={studio.pk}" in page and "It needs a machine that does not exist." in page
    for unfit in (inside, gone):
        assert f"?provider={unfit.pk}" not in page
        assert "Which provider" in admin.get(f"{ADD}?provider={unfit.pk}").content.decode()
        assert list(errors(add(admin, studio, provider=unfit.pk))) == ["provider"]
    assert not Character.objects.exists()


@pytest.mark.parametrize("chosen", ["", "x", "999", "1;2", "²"])
def test_an_unknown_provider_leads_back_to_the_choice(admin: Client, chosen: str) -> None:
    assert admin.get(ADD, {"provider": chosen}).status_code == 200


def test_a_character_is_stored_with_aliases_options_and_banks(admin: Client, studio: Provider) -> None:
    bank = Bank.objects.create(name="Stories")
    response = add(
        admin,
        studio,
        aliases=" alloy, Nova 2\r\nalloy,,\n<script> ",
        option_everything_temperature="1.5",
        model="big",
        **memberships({"bank": bank.pk, "position": "4"}),
    )
    assert response.status_code == 302, errors(response)
    character = Character.objects.get()
    assert character.aliases == ["alloy", "Nova 2", "<script>"]
    assert (character.options, character.model) == ({"temperature": 1.5}, "big")
    assert Membership.objects.get().position == 4
    page = admin.get(change(character)).content.decode()
    assert "alloy\nNova 2\n&lt;script&gt;</textarea>" in page and 'value="1.5"' in page


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": "one, two"}, "name"),
        ({"name": "one\ntwo"}, "name"),
        ({"aliases": "a" * 101}, "aliases"),
        ({"aliases": ",".join(map(str, range(51)))}, "aliases"),
        ({"voice": ""}, "voice"),
        ({"voice": "v" * 201}, "voice"),
        ({"task_mode": "sing"}, "task_mode"),
        ({"task_mode": "clone"}, "reference"),
        ({"task_mode": "design"}, "instruction"),
        ({"provider": ""}, "provider"),
        ({"provider": "999"}, "provider"),
        ({"speed": "0.2"}, "speed"),
        ({"speed": "4.1"}, "speed"),
        ({"speed": "nan"}, "speed"),
        ({"reference": "999"}, "reference"),
        ({"option_everything_temperature": "3"}, "option_everything_temperature"),
        ({"option_everything_seed": "1.5"}, "option_everything_seed"),
    ],
)
def test_what_can_not_be_stored_is_said_at_its_field(
    admin: Client, studio: Provider, values: dict[str, str], field: str
) -> None:
    assert list(errors(add(admin, studio, **values))) == [field]
    assert not Character.objects.exists()


def test_a_task_mode_that_the_provider_lacks_is_refused(admin: Client, inside: Provider) -> None:
    found = errors(add(admin, inside, task_mode="design", instruction="deep"))
    assert found == {"task_mode": ["This provider can only do: preset."]}


def test_what_the_task_mode_does_not_read_is_not_kept(
    admin: Client, studio: Provider, inside: Provider, reference: ReferenceAudio
) -> None:
    cloned = {"task_mode": "clone", "reference": reference.pk, "prompt_text": "Hello", "instruction": "deep"}
    add(admin, studio, option_everything_seed="7", **cloned)
    character = Character.objects.get()
    assert (character.reference, character.prompt_text) == (reference, "Hello")
    assert (character.voice, character.instruction, character.options) == ("", "", {"seed": 7})

    data = character_data(inside, option_everything_seed="7", **{**cloned, "task_mode": "preset"})
    response = admin.post(change(character), data)
    assert response.status_code == 302, errors(response)
    character.refresh_from_db()
    assert (character.provider, character.reference, character.prompt_text) == (inside, None, "")
    assert (character.voice, character.options) == ("nova", {})


def test_the_provider_that_a_character_has_stays_to_be_chosen(admin: Client, studio: Provider) -> None:
    add(admin, studio)
    studio.enabled = False
    studio.save()
    response = admin.post(change(Character.objects.get()), character_data(studio, name="Nova 2"))
    assert response.status_code == 302, errors(response)


def test_the_page_tells_its_script_what_each_provider_reads(admin: Client, studio: Provider, inside: Provider) -> None:
    form = admin.get(f"{ADD}?provider={inside.pk}").context["adminform"].form
    told = form.fields["task_mode"].widget.attrs["data-nr-providers"]
    assert f'"{inside.pk}": {{"kind": "embedded", "modes": {{"preset"' in told
    assert '"clone": {"required": ["reference"]' in told
    assert form.fields["option_everything_seed"].widget.attrs["data-nr-kind"] == "everything"


def test_the_page_tells_its_script_of_the_recordings(
    admin: Client, studio: Provider, reference: ReferenceAudio
) -> None:
    reference.transcript, reference.language = "<b>Once</b>", "en"
    reference.save()
    widget = admin.get(f"{ADD}?provider={studio.pk}").context["adminform"].form.fields["reference"].widget
    told = json.loads(widget.attrs["data-nr-references"])
    assert told == {str(reference.pk): {"url": reference.url, "transcript": "<b>Once</b>", "language": "en"}}


def test_suggestions_are_narrowed_by_what_is_typed(admin: Client, studio: Provider) -> None:
    CatalogueVoice.objects.bulk_create(
        CatalogueVoice(provider=studio, external_id=f"voice-{number}", name="Ada" if number % 2 else "Bob")
        for number in range(MAX_SUGGESTIONS * 2 + 10)
    )
    CatalogueVoice.objects.create(provider=studio, external_id="voice-zh", language="zh-CN", vanished_at=timezone.now())

    def offered(words: str) -> Any:
        return admin.get(f"{LIST}suggestions/", {"provider": str(studio.pk), "q": words}).json()

    assert offered("")["more"] and len(offered("")["voice"]) == MAX_SUGGESTIONS
    assert [voice["id"] for voice in offered("ADA voice-1001")["voice"]] == ["voice-1001"]
    for words in ("zh-CN", "%", "' OR 1=1", "a" * 5000):
        found = offered(words)
        assert (found["voice"], found["more"], found["note"]["text"]) == ([], False, "")


def test_an_avatar_becomes_a_small_webp_under_a_name_of_ours(admin: Client, studio: Provider) -> None:
    exif = Image.Exif()
    exif[TiffImagePlugin.IMAGEDESCRIPTION] = "at home, 52.5 N 13.4 E"
    photo = picture((1200, 800), "JPEG", exif=exif)
    response = add(admin, studio, avatar_upload=upload(photo, "../../holiday.svg", "image/svg+xml"))
    assert response.status_code == 302, errors(response)
    character = Character.objects.get()
    assert re.fullmatch(r"avatars/[0-9a-f]{32}\.webp", str(character.avatar.name))
    content = character.avatar.read()
    character.avatar.close()
    assert b"at home" not in content
    with Image.open(BytesIO(content)) as image:
        assert (image.format, image.size) == ("WEBP", (512, 341))
        assert not image.getexif()
    assert f"/media/avatars/{character.pk}?v=" in admin.get(change(character)).content.decode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", id="svg"),
        pytest.param(picture()[:200], id="truncated"),
        pytest.param(b"MZ\x90\x00 program", id="program"),
        pytest.param(picture((8, 8), "BMP"), id="bmp"),
        pytest.param(picture((8, 8), "TIFF"), id="tiff"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(100), id="broken-png"),
    ],
)
def test_what_is_no_picture_of_ours_is_refused(admin: Client, studio: Provider, content: bytes) -> None:
    before = stored_files()
    found = errors(add(admin, studio, avatar_upload=upload(content)))
    assert found == {"avatar_upload": ["This is not a picture that can be read: use PNG, JPEG, WebP or GIF."]}
    assert stored_files() == before


def test_a_picture_with_too_many_pixels_is_refused(admin: Client, studio: Provider) -> None:
    for side in (8_000, 20_000):  # above our limit, and above the one at which Pillow itself stops
        file = BytesIO()
        Image.new("1", (side, side)).save(file, "PNG")
        found = errors(add(admin, studio, avatar_upload=upload(file.getvalue())))
        assert "too many pixels" in found["avatar_upload"][0]


def test_a_file_of_more_than_five_megabytes_is_refused(admin: Client, studio: Provider) -> None:
    found = errors(add(admin, studio, avatar_upload=upload(picture() + bytes(5 * 1024**2))))
    assert found == {"avatar_upload": ["The file is larger than 5 MB."]}


@pytest.mark.django_db(transaction=True)
def test_replaced_and_removed_avatars_leave_the_disk(admin: Client, studio: Provider) -> None:
    before = stored_files()
    add(admin, studio, avatar_upload=upload(picture()))
    character = Character.objects.get()
    first = character.avatar.name
    admin.post(change(character), character_data(studio, avatar_upload=upload(picture((5, 5)))))
    character.refresh_from_db()
    assert character.avatar.name != first
    assert len(stored_files() - before) == 1
    admin.post(change(character), character_data(studio, remove_avatar="on"))
    character.refresh_from_db()
    assert not character.avatar and stored_files() == before

    admin.post(change(character), character_data(studio, avatar_upload=upload(picture())))
    assert len(stored_files() - before) == 1
    admin.post(f"{LIST}{character.pk}/delete/")
    assert not Character.objects.exists() and stored_files() == before


def test_a_character_in_a_bank_is_archived(admin: Client, studio: Provider) -> None:
    add(admin, studio)
    character = Character.objects.get()
    Membership.objects.create(bank=Bank.objects.create(name="Stories"), character=character)
    assert "bank “Stories”" in admin.get(f"{LIST}{character.pk}/delete/").content.decode()
    admin.post(f"{LIST}{character.pk}/delete/")
    character.refresh_from_db()
    assert character.archived_at
    assert admin.post(change(character), character_data(studio)).status_code == 403
    assert admin.get(change(character)).status_code == 200
    admin.post(f"{LIST}{character.pk}/restore/")
    character.refresh_from_db()
    assert character.archived_at is None


def test_archived_banks_can_not_be_joined(admin: Client, studio: Provider) -> None:
    gone = Bank.objects.create(name="Gone", archived_at="2026-01-01T00:00Z")
    assert add(admin, studio, **memberships({"bank": gone.pk})).status_code == 200
    assert not Membership.objects.exists()


def test_the_list_filters_by_provider_and_searches_aliases(admin: Client, studio: Provider, inside: Provider) -> None:
    add(admin, studio, aliases="evening")
    Character.objects.create(name="Heart", provider=inside)
    assert [each.name for each in admin.get(f"{LIST}?provider={inside.pk}").context["cl"].queryset] == ["Heart"]
    assert [each.name for each in admin.get(f"{LIST}?q=evening").context["cl"].queryset] == ["Nova"]
    assert len(admin.get(f"{LIST}?provider=%27").context["cl"].queryset) == 2


@pytest.mark.parametrize("rights", [[], ["banks.view_character"], ["banks.change_bank"]])
def test_without_the_right_nothing_changes(studio: Provider, rights: list[str]) -> None:
    character = Character.objects.create(name="Nova", provider=studio, voice="a")
    viewer = person(*rights)
    assert viewer.get(ADD).status_code == 403
    assert add(viewer, studio).status_code == 403
    assert viewer.post(change(character), character_data(studio, name="Mine")).status_code == 403
    assert viewer.post(f"{LIST}{character.pk}/delete/").status_code == 403
    assert Character.objects.get().name == "Nova"


# A second one like it, and places in other banks.


@pytest.fixture
def nova(studio: Provider, reference: ReferenceAudio) -> Character:
    """In two banks, with one of everything."""
    fallback = Character.objects.create(name="Fallback", provider=studio, voice="b")
    made = Character.objects.create(
        name="Nova",
        description="Young",
        aliases=["alloy"],
        avatar=avatar_image(picture()),
        provider=studio,
        task_mode="clone",
        reference=reference,
        prompt_text="Hello",
        language="en",
        speed=1.5,
        options={"seed": 7},
        fallback=fallback,
    )
    for name in ("Stories", "News"):
        bank = Bank.objects.create(name=name)
        bank.append(fallback)
        bank.append(made)
    Bank.objects.create(name="Games")
    return made


def bank(name: str) -> Bank:
    return Bank.objects.get(name=name)


def members(name: str) -> list[str]:
    return [place.character.name for place in bank(name).memberships.all()]


def test_a_duplicate_is_like_the_original_and_beside_it(admin: Client, nova: Character) -> None:
    for wanted in ("Nova (copy)", "Nova (copy) (2)"):
        response = admin.post(f"{LIST}{nova.pk}/duplicate/")
        copy = Character.objects.latest("pk")
        assert response["Location"] == change(copy) and copy.name == wanted
    for name in ("description", "provider", "task_mode", "reference", "prompt_text", "language", "speed", "options"):
        assert getattr(copy, name) == getattr(nova, name), name
    assert (copy.fallback, copy.enabled, copy.aliases) == (nova.fallback, True, [])
    assert members("Stories") == members("News") == ["Fallback", "Nova", "Nova (copy)", "Nova (copy) (2)"]
    ids = [*copy.memberships.values_list("public_id", flat=True), *nova.memberships.values_list("public_id", flat=True)]
    assert len(set(ids)) == 4
    # Each has a picture of its own: deleting one leaves the other's.
    assert copy.avatar.name != nova.avatar.name
    with copy.avatar.open("rb") as one, nova.avatar.open("rb") as other:
        assert one.read() == other.read()


def test_a_duplicate_of_one_whose_picture_is_lost_has_none(admin: Client, nova: Character) -> None:
    private_storage().delete(str(nova.avatar.name))
    admin.post(f"{LIST}{nova.pk}/duplicate/")
    assert not Character.objects.latest("pk").avatar


def place(client: Client, *chosen: Character, **values: Any) -> Any:
    pks = [character.pk for character in chosen]
    return client.post(LIST, {"action": "place_in_bank", "_selected_action": pks, "post": "yes", **values})


def test_characters_join_a_bank_and_stay_where_they_are(admin: Client, nova: Character) -> None:
    games = bank("Games")
    page = admin.post(LIST, {"action": "place_in_bank", "_selected_action": [nova.pk]}).content.decode()
    assert "Also speak there" in page and f'name="_selected_action" value="{nova.pk}"' in page
    assert place(admin, nova, way="share", bank=games.pk).status_code == 302
    place(admin, nova, way="share", bank=games.pk)  # there already
    assert members("Games") == ["Nova"] and members("Stories") == ["Fallback", "Nova"]
    assert games.characters.get() == nova


def test_characters_are_copied_into_a_bank(admin: Client, nova: Character) -> None:
    assert nova.fallback is not None
    place(admin, nova, nova.fallback, way="copy", bank=bank("Games").pk)
    assert sorted(members("Games")) == ["Fallback", "Nova"]
    copy = bank("Games").characters.get(name="Nova")
    assert copy != nova and (copy.aliases, copy.options, copy.reference) == (["alloy"], {"seed": 7}, nova.reference)
    assert members("Stories") == ["Fallback", "Nova"]


def test_characters_move_and_keep_their_ids(admin: Client, nova: Character) -> None:
    Bank.objects.filter(name="Stories").update(default_character=nova)
    public_id = nova.memberships.get(bank__name="Stories").public_id
    place(admin, nova, way="move", bank=bank("Games").pk, source=bank("Stories").pk)
    assert (members("Stories"), members("News"), members("Games")) == (["Fallback"], ["Fallback", "Nova"], ["Nova"])
    assert nova.memberships.get(bank__name="Games").public_id == public_id
    assert bank("Stories").default_character is None

    place(admin, nova, way="move", bank=bank("News").pk)  # out of all others, into one that has it
    assert (members("News"), members("Games")) == (["Fallback", "Nova"], [])
    place(admin, nova, way="move", bank=bank("Games").pk, source=bank("News").pk)
    response = place(admin, nova, way="move", bank=bank("Stories").pk, source=bank("News").pk)
    assert "source" in response.context["form"].errors  # it is not there any more
    assert members("Games") == ["Nova"]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"way": "share"}, "bank"),
        ({"way": "share", "bank": "999"}, "bank"),
        ({"way": "steal", "bank": "Games"}, "way"),
        ({"way": "move", "bank": "Stories", "source": "Stories"}, "source"),
        ({"way": "move", "bank": "Gone"}, "bank"),
    ],
    ids=range(5),
)
def test_a_place_that_is_none_is_said_at_its_field(
    admin: Client, nova: Character, values: dict[str, str], field: str
) -> None:
    Bank.objects.create(name="Gone", archived_at=timezone.now())
    known = {each.name: each.pk for each in Bank.objects.all()}
    before = list(Membership.objects.values_list("bank", "character"))
    response = place(admin, nova, **{name: known.get(value, value) for name, value in values.items()})
    assert list(response.context["form"].errors) == [field]
    assert list(Membership.objects.values_list("bank", "character")) == before


def test_archived_characters_go_nowhere(admin: Client, nova: Character) -> None:
    assert nova.remove()
    assert admin.post(f"{LIST}{nova.pk}/duplicate/").status_code == 403
    place(admin, nova, way="share", bank=bank("Games").pk)
    chosen = {"action": "place_in_bank", "_selected_action": [nova.pk], "post": "yes"}
    admin.post(f"{LIST}?archived=yes", {**chosen, "way": "share", "bank": bank("Games").pk})
    assert members("Games") == []


def test_the_list_shows_one_bank_or_those_in_none(admin: Client, nova: Character, inside: Provider) -> None:
    Character.objects.create(name="Alone", provider=inside)
    lost = Character.objects.create(name="Lost", provider=inside)
    Bank.objects.create(name="Gone", archived_at=timezone.now()).append(lost)

    def shown(chosen: str | int) -> list[str]:
        return [each.name for each in admin.get(LIST, {"bank": chosen}).context["cl"].queryset]

    assert shown(bank("Stories").pk) == ["Fallback", "Nova"]
    assert shown("none") == ["Alone", "Lost"]
    assert shown("9" * 30) == []
    assert len(shown("'")) == 4


@pytest.mark.parametrize(
    ("rights", "ways"),
    [
        (["change_character"], []),
        (["change_character", "add_membership"], ["share"]),
        (["change_character", "add_character", "add_membership"], ["share", "copy"]),
        (["change_character", "add_membership", "delete_membership"], ["share", "move"]),
    ],
    ids=range(4),
)
def test_ways_are_those_that_somebody_has_the_right_to(nova: Character, rights: list[str], ways: list[str]) -> None:
    editor = person(*(f"banks.{right}" for right in rights))
    for way in ("share", "copy", "move"):
        before = (Character.objects.count(), list(Membership.objects.values_list("bank", "character")))
        place(editor, nova, way=way, bank=bank("Games").pk)
        after = (Character.objects.count(), list(Membership.objects.values_list("bank", "character")))
        assert (before != after) is (way in ways), way
        bank("Games").memberships.all().delete()
        Membership.objects.get_or_create(bank=bank("Stories"), character=nova)


def test_outsiders_duplicate_nothing(nova: Character) -> None:
    page = f"{LIST}{nova.pk}/duplicate/"
    assert person(superuser=True).get(page).status_code == 405
    few = (person("banks.add_character", "banks.view_character"), person("banks.add_character", "banks.add_membership"))
    for outsider in (*few, person(), person(staff=False), Client()):
        assert outsider.post(page).status_code in (302, 403)
        assert Character.objects.count() == 2
    allowed = person("banks.add_character", "banks.view_character", "banks.add_membership")
    assert allowed.post(page).status_code == 302
    assert Character.objects.count() == 3
