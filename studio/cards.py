"""What a page shows of a take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _

from providers.wording import duration
from studio.file_names import safe_name
from studio.models import Take, TakeState
from studio.runner import stages
from studio.stages import Stage

_TONES = {TakeState.DONE: "ok", TakeState.FAILED: "bad"}
MOST_LINES = 200


def cards(takes: Iterable[Take], user: Any) -> list[dict[str, Any]]:
    listed = list(takes)
    found = stages() if any(take.is_open for take in listed) else {}
    return [card(take, user, found.get(take.pk)) for take in listed]


def card(take: Take, user: Any, stage: Stage | None) -> dict[str, Any]:
    levels = drawn(take.waveform)
    return {
        "take": take,
        "voice": take.made_with.voice,
        "tone": _TONES.get(TakeState(take.state), "none"),
        "now": _now(stage) if take.is_open else "",
        "since": "" if stage is None else duration(stage.seconds),
        "waiting": stage is not None and stage.waiting,
        "facts": _facts(take),
        "lines": waveform_path(levels),
        "columns": len(levels),
        "audio_url": reverse("studio:audio", args=[take.pk]),
        "foreign_owner": "" if take.owner_id == user.pk else take.owner.get_username(),
        "may_add": user.has_perm("studio.add_take"),
        "may_keep": user.has_perm("studio.change_take"),
        "may_delete": user.has_perm("studio.delete_take"),
    }


def _now(stage: Stage | None) -> str:
    if stage is None:
        return _("In preparation")
    return _("Waiting for a place in the queue") if stage.waiting else _("Speaking")


def _facts(take: Take) -> list[tuple[str, str]]:
    """What is known of how it was made, each with its name."""
    factor = take.real_time_factor
    known = [
        (_("Length"), None if take.duration is None else duration(take.duration)),
        (_("Waited"), None if take.queue_ms is None else duration(take.queue_ms / 1000)),
        (_("Inference"), None if take.inference_ms is None else duration(take.inference_ms / 1000)),
        (_("Real-time factor"), None if factor is None else f"{factor:.3f}" if factor < 0.1 else f"{factor:.2f}"),
        (_("Sample rate"), _("%s kHz") % f"{take.sample_rate / 1000:g}" if take.sample_rate else None),
        (_("Size"), filesizeformat(take.size) if take.size else None),
        (_("Speed"), f"{take.made_with.speed:g}" if take.made_with.speed != 1 else None),
        (_("Instruction"), take.made_with.instruction or None),
    ]
    return [(name, value) for name, value in known if value is not None]


def drawn(levels: Sequence[int], most: int = MOST_LINES) -> list[int]:
    """The levels that are shown: fewer than are stored, so that a page of takes stays light."""
    step = max(-(-len(levels) // most), 1)
    return [max(levels[start : start + step]) for start in range(0, len(levels), step)]


def waveform_path(levels: Sequence[int]) -> str:
    """An SVG path in a box of one unit for each level, by 100: an upright line for each."""
    highest = max(levels, default=0) or 1
    heights = [max(round(96 * level / highest), 1) for level in levels]
    return "".join(f"M{x}.5 {50 - height / 2:g}v{height}" for x, height in enumerate(heights))


def file_name(take: Take) -> str:
    """For whoever downloads it: who speaks, and how the text begins."""
    return f"{safe_name(f'{take.made_with.voice.name} - {take.text}', 'take')}.{take.format}"
