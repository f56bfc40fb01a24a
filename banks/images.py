"""Avatars: whatever picture comes in, a small WebP of ours goes out."""

from __future__ import annotations

import secrets
from io import BytesIO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

AVATAR_BYTES = 5 * 1024 * 1024
AVATAR_SIDE = 512
AVATAR_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def avatar_image(data: bytes) -> ContentFile[bytes]:
    """The picture turned upright, at most 512 pixels a side, without metadata, under a random name."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > AVATAR_PIXELS:
                raise ValidationError(_("The picture has too many pixels; at most 50 million are read."))
            small = _small(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValidationError(_("The picture has too many pixels; at most 50 million are read.")) from error
    except ValidationError:
        raise
    except Exception as error:  # Pillow's decoders document no common exception
        raise ValidationError(_("This is not a picture that can be read: use PNG, JPEG, WebP or GIF.")) from error
    encoded = BytesIO()
    small.save(encoded, "WEBP", quality=85)
    return ContentFile(encoded.getvalue(), name=f"{secrets.token_hex(16)}.webp")


def _small(image: Image.Image) -> Image.Image:
    image.draft("RGB", (AVATAR_SIDE, AVATAR_SIDE))  # lets a large JPEG be read at a fraction of its size
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    upright.thumbnail((AVATAR_SIDE, AVATAR_SIDE))
    clean = Image.new("RGBA", upright.size)
    clean.paste(upright)
    return clean
