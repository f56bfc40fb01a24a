from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from providers.errors import SpeechError
from studio.desktop.imports import bring, look
from studio.desktop.job import Options
from studio.desktop.report import Report
from studio.desktop.sounds import FolderSounds, Sounds, ZipSounds
from studio.projects import people

# Where the desktop application keeps its audio unless it is told otherwise: beside its data folder.
AUDIO_FOLDER = "voice_asset"


class Command(BaseCommand):
    help = (
        "Import providers, characters, banks and projects from the Neiroha desktop application. What came before does"
        " not come again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, help="The application's database, neiroha.db. It is only read.")
        parser.add_argument(
            "--audio-folder",
            type=Path,
            help=f"Its audio folder, or a zip of it. By default the folder {AUDIO_FOLDER} beside that of the database.",
        )
        parser.add_argument("--dry-run", action="store_true", help="Only say what would come.")
        parser.add_argument("--with-keys", action="store_true", help="Take the providers' keys too.")
        parser.add_argument("--again", action="store_true", help="Bring back what came before and was deleted here.")
        parser.add_argument("--owner", default="", help="Whose the projects are; by default the first administrator's.")

    def handle(self, *, path: Path, audio_folder: Path | None, dry_run: bool, owner: str, **options: Any) -> None:
        wanted = Options(find_owner(owner), with_keys=options["with_keys"], again=options["again"])
        try:
            with self._sounds(path, audio_folder) as sounds:
                report = look(path, sounds, wanted) if dry_run else bring(path, sounds, wanted)
        except SpeechError as error:
            raise CommandError(f"{error.message} Nothing was imported.") from error
        self._tell(report)
        self.stdout.write("Nothing was changed: this was a dry run." if dry_run else "Imported.")

    @contextmanager
    def _sounds(self, path: Path, given: Path | None) -> Iterator[Sounds]:
        folder = given or path.absolute().parent.parent / AUDIO_FOLDER
        if folder.is_dir():
            self.stdout.write(f"Audio from {folder}.")
            yield FolderSounds(folder)
        elif given is None:
            self.stdout.write("No audio: name its folder with --audio-folder.")
            yield FolderSounds(None)
        else:
            with opened_zip(given) as file:
                yield ZipSounds(file)

    def _tell(self, report: Report) -> None:
        for heading, entries in report.groups():
            self.stdout.write(f"\n{heading}")
            for entry in entries:
                kind = f" ({entry.kind_label})" if entry.kind_label else ""
                self.stdout.write(f"  {entry.label}: {entry.name}{kind}")
                for line in [*entry.told, *(f"Missing: {path}" for path in entry.missing)]:
                    self.stdout.write(f"      {line}")
        if report.clips:
            self.stdout.write(f"\nLeft out: {report.clips} clips that were laid out by hand on timelines.")
        self.stdout.write(f"\n{report.lines} new lines, {report.audio} recordings of lines and quick takes.")


def opened_zip(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise CommandError(f"The audio folder {path} can't be read: {error.strerror}.") from error


def find_owner(name: str) -> User:
    if name:
        found = people().filter(username=name).first()
        if found is None:
            raise CommandError(f"There is nobody named {name!r} who may sign in to these pages.")
        return found
    first = people().filter(is_superuser=True).order_by("pk").first()
    if first is None:
        raise CommandError("There is no administrator yet: open the pages once, or name an --owner.")
    return first
