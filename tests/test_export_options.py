"""How the options of an export are kept."""

from __future__ import annotations

import json

import pytest

from studio.export_options import FORMATS, ExportOptions, Track, What


@pytest.mark.parametrize(("what", "format"), [(what, one) for what, formats in FORMATS.items() for one in formats])
def test_options_come_back_as_they_were_stored(what: What, format: str) -> None:
    options = ExportOptions(
        what,
        format,
        250,
        2000,
        None,
        only_done=True,
        speaker_prefix=True,
        chapter_format="flac",
        first=3,
        last=9,
        track=Track.REPLACE,
    )
    stored = json.loads(json.dumps(options.as_json()))
    assert ExportOptions.read(stored) == options
    assert (stored["what"], stored["format"], stored["track"]) == (what.value, format, "replace")


def test_what_an_older_version_did_not_store_is_what_it_was_then() -> None:
    assert ExportOptions.read({"what": "audio", "format": "mp3"}) == ExportOptions(What.AUDIO, "mp3")
    with pytest.raises(KeyError):
        ExportOptions.read({})
    with pytest.raises(ValueError, match="film"):
        ExportOptions.read({"what": "film", "format": "mp4"})
