"""The desktop application's tables, and what its words are called here. Data only.

Its tables grew over 27 versions (SQLite's `user_version`). What a version lacks is read as empty, what is unknown here
is left alone: no version is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from providers.speech import TaskMode

# Without these two, and these columns of theirs, a database is another application's.
SIGNS = {"tts_providers": {"id", "name", "adapter_type"}, "voice_assets": {"id", "name", "provider_id"}}

# Its adapters, by our kinds of providers. A kind that is not registered here is said to be unknown.
KINDS = {
    "openaiCompatible": "openai",
    "chatCompletionsTts": "chat_completions",
    "cosyvoice": "cosyvoice",
    "voxcpm2Native": "voxcpm",
    "gptSovits": "gpt_sovits",
    "azureTts": "azure",
    "geminiTts": "gemini",
    "systemTts": "system",
}
# These keep the language of the text where others keep a model, and begin at a name of no model.
MODEL_IS_LANGUAGE = frozenset({"gptSovits"})
# What these speak with where a character names no voice; all others take the character's own name.
DEFAULT_VOICES = {"chatCompletionsTts": "mimo_default"}

TASK_MODES = {
    "presetVoice": TaskMode.PRESET,
    "cloneWithPrompt": TaskMode.CLONE,
    "voiceDesign": TaskMode.DESIGN,
}

# Every installation begins with rows of these ids: examples, until somebody changes them.
EXAMPLE = "default-"


@dataclass(frozen=True, slots=True)
class ProjectTables:
    """Where one kind of its projects is. `text` is the column of a line's text, `order` that of its place."""

    kind: str
    projects: str
    lines: str
    text: str
    order: str = "order_index"


PROJECTS = (
    ProjectTables("dialogue", "dialog_tts_projects", "dialog_tts_lines", "line_text"),
    ProjectTables("phase", "phase_tts_projects", "phase_tts_segments", "segment_text"),
    ProjectTables("novel", "novel_projects", "novel_segments", "segment_text", "global_index"),
    ProjectTables("dub", "video_dub_projects", "subtitle_cues", "cue_text"),
)
