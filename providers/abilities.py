"""What a provider's kind can do, in words for its page."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from providers.adapters.base import Adapter, BackendLogs, ModelControl, VoiceRegistry
from providers.speech import SPEED_MAX, SPEED_MIN, AudioFormat, Capabilities, TaskMode

TASK_MODES = {
    TaskMode.PRESET: gettext_lazy("voices that it has"),
    TaskMode.CLONE: gettext_lazy("voices cloned from reference audio"),
    TaskMode.DESIGN: gettext_lazy("voices designed from a description"),
}
ACTIONS = {
    "load": gettext_lazy("load the model"),
    "unload": gettext_lazy("unload it"),
    "reload": gettext_lazy("reload it"),
}


def abilities(adapter: type[Adapter], piece_characters: int = 0) -> list[tuple[str, str]]:
    """Each with its name; `piece_characters` is the provider's own setting, where it has one."""
    can = adapter.capabilities
    pieces = piece_characters or can.piece_characters
    return [
        (_("Speaks with"), _listed(str(TASK_MODES[mode]) for mode in TaskMode if mode in can.task_modes)),
        (_("Formats"), _formats(can)),
        (_("Speed"), _speed(can)),
        (_("Instructions"), _("Follows instructions on how to speak.") if can.instructions else _("Takes none.")),
        (_("Streaming"), _("Sends sound while it still speaks.") if can.streaming else _("Sends whole pieces only.")),
        (
            _("Long texts"),
            ngettext("In pieces of at most %d character.", "In pieces of at most %d characters.", pieces) % pieces,
        ),
        *_of_backend(adapter),
    ]


def _listed(words: Iterable[str]) -> str:
    text = _(", ").join(words)
    return text[:1].upper() + text[1:]


def _formats(can: Capabilities) -> str:
    own = [audio_format.upper() for audio_format in AudioFormat if audio_format in can.formats]
    if len(own) == len(AudioFormat):
        return _("All: %s.") % ", ".join(own)
    return _("%s; Neiroha makes the others from it.") % ", ".join(own)


def _speed(can: Capabilities) -> str:
    if can.speed is None:
        return _("None of its own; Neiroha stretches the sound.")
    low, high = can.speed
    text = _("%(low)g to %(high)g times its pace") % {"low": low, "high": high}
    if low <= SPEED_MIN and high >= SPEED_MAX:
        return text + "."
    return _("%s; beyond that Neiroha stretches the sound.") % text


def _of_backend(adapter: type[Adapter]) -> list[tuple[str, str]]:
    can = []
    if issubclass(adapter, ModelControl):
        can += [str(ACTIONS.get(action, action)) for action in adapter.actions]
    if issubclass(adapter, BackendLogs):
        can.append(_("show its log"))
    if issubclass(adapter, VoiceRegistry):
        can.append(_("keep voices that are registered here"))
    return [(_("Its backend can"), _listed(can))] if can else []
