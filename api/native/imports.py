"""Texts that become a project's lines."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as ModelError
from rest_framework import serializers

from api.native.fields import LARGEST_ID, StrictInteger
from api.native.serializers import StrictBody
from api.serializers import StrictBoolean, StrictText
from banks.models import Character
from studio.chapters import Source
from studio.kinds import kinds
from studio.models import LONGEST_LINE, Project
from studio.text import LONGEST_PATTERN, CutError, How
from studio.text_import import LONGEST, SHORTEST, Cutting, Plan, known_cast, plan, store

MOST_CHARACTERS = 8_000_000
MOST_CAST = 1000


class ImportBody(StrictBody):
    text = StrictText(max_length=MOST_CHARACTERS)
    how = serializers.ChoiceField(
        [each.value for each in How],
        required=False,
        allow_null=True,
        help_text="What a line is. Left out: a turn of a dialogue, a paragraph of another text.",
    )
    pattern = StrictText(
        required=False,
        allow_blank=True,
        max_length=LONGEST_PATTERN,
        help_text="For how=pattern: a regular expression; the text is cut where it matches, and what matches goes.",
    )
    longest = StrictInteger(
        required=False,
        default=LONGEST,
        min_value=SHORTEST,
        max_value=LONGEST_LINE,
        help_text="Characters of a line; what is longer is cut where a speaker would breathe.",
    )
    labels = StrictBoolean(
        required=False, help_text="The text is `Name: text`. Left out: as the project's kind has it."
    )
    no_names = serializers.ListField(
        child=StrictText(max_length=100),
        required=False,
        max_length=MOST_CAST,
        help_text="What looks like names, but is none.",
    )
    cast = serializers.DictField(
        child=StrictInteger(min_value=1, max_value=LARGEST_ID),
        required=False,
        help_text="Characters' ids by name, remembered; an empty name is for lines without one.",
    )
    replace = StrictBoolean(required=False, default=False, help_text="In place of all lines that are there.")
    dry_run = StrictBoolean(required=False, default=False, help_text="Store nothing, only say what it would make.")

    def validate_cast(self, cast: dict[str, int]) -> dict[str, Character]:
        if len(cast) > MOST_CAST:
            raise serializers.ValidationError(f"At most {MOST_CAST} names at once.")
        people = Character.objects.filter(archived_at=None).in_bulk(list(set(cast.values())))
        if unknown := set(cast.values()) - people.keys():
            raise serializers.ValidationError(f"There is no character of the id {min(unknown)}.")
        return {name: people[pk] for name, pk in cast.items()}


class SpeakerSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(allow_blank=True)
    lines = serializers.IntegerField()
    character = serializers.IntegerField(allow_null=True, help_text="Whom the cast has for it, or who is called so.")


class ImportedSerializer(serializers.Serializer[Any]):
    lines = serializers.IntegerField()
    shortened = serializers.IntegerField(help_text="Pieces that were too long for a line, and were cut again.")
    speakers = SpeakerSerializer(many=True)
    doubtful = serializers.ListField(
        child=serializers.CharField(),
        help_text="What was taken for names, but stands once in a text that is mostly told.",
    )


def imported(project: Project, body: dict[str, Any]) -> dict[str, Any]:
    """Plan and, unless it is a dry run, store. rest_framework's ValidationError."""
    try:
        made = _planned(project, body)
        cast: dict[str, Any] = {**_people(project, made), **body.get("cast", {})}
        if not body["dry_run"]:
            store(project, made, cast, replace_all=body["replace"])
    except CutError as error:
        field = "pattern" if body.get("how") == How.PATTERN else "text"
        raise serializers.ValidationError({field: error.message}) from error
    except ModelError as error:
        raise serializers.ValidationError({"text": error.messages}) from error
    speakers = [
        {"name": name, "lines": count, "character": cast[name].pk if name in cast else None}
        for name, count in made.speakers.items()
    ]
    return {
        "lines": len(made.drafts),
        "shortened": made.shortened,
        "speakers": speakers,
        "doubtful": made.doubtful,
    }


def _planned(project: Project, body: dict[str, Any]) -> Plan:
    turns = kinds()[project.kind].turns
    how = body.get("how")
    if how is None and not turns:
        how = How.PARAGRAPH
    cutting = Cutting(
        How(how) if how else None,
        body.get("labels", turns),
        body.get("pattern", ""),
        body["longest"],
        frozenset(body.get("no_names", ())),
    )
    return plan([Source(body["text"])], cutting, project.language)


def _people(project: Project, made: Plan) -> dict[str, Character]:
    known = known_cast(project, made.speakers)
    people = Character.objects.in_bulk(list(set(known.values())))
    return {name: people[pk] for name, pk in known.items() if pk in people}
