"""Names for files that leave the server: any system takes them."""

from __future__ import annotations

import re

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u2028\u2029\u202a-\u202e\u2066-\u2069]+')
_MOST_CHARACTERS = 60


def safe_name(words: str, otherwise: str) -> str:
    """What `words` allow, without an extension; `otherwise` where nothing is left of them."""
    name = " ".join(_FORBIDDEN.sub(" ", words).split())
    return name[:_MOST_CHARACTERS].strip(" .") or otherwise
