"""Pictures: whatever comes in, a small one of ours goes out. Avatars are WebP; covers are JPEG, which every player of
audiobooks knows."""

from __future__ import annotations

import secrets
from io import BytesIO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

AVATAR_BYTES, COVER_BYTES = 5 * 1024 * 1024, 10 * 1024 * 1024
AVATAR_SIDE, COVER_SIDE = 512, 1200
MOST_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def avatar_image(data: bytes) -> ContentFile[bytes]:
    """The picture turned upright, at most 512 pixels a side, without metadata, under a random name."""
    encoded = BytesIO()
    _read(data, AVATAR_SIDE).save(encoded, "WEBP", quality=85)
    return ContentFile(encoded.getvalue(), name=f"{secrets.token_hex(16)}.webp")


def cover_image(data: bytes) -> ContentFile[bytes]:
    """The same, at most 1200 pixels a side, on white."""
    picture = _read(data, COVER_SIDE)
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture)
    encoded = BytesIO()
    page.save(encoded, "JPEG", quality=88)
    return ContentFile(encoded.getvalue(), name=f"{secrets.token_hex(16)}.jpg")


def _read(data: bytes, side: int) -> Image.Image:
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValidationError(_("The picture has too many pixels; at most 50 million are read."))
            return _small(image, side)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValidationError(_("The picture has too many pixels; at most 50 million are read.")) from error
    except ValidationError:
        raise
    except Exception as error:  # Pillow's decoders document no common exception
        raise ValidationError(_("This is not a picture that can be read: use PNG, JPEG, WebP or GIF.")) from error


def _small(image: Image.Image, side: int) -> Image.Image:
    image.draft("RGB", (side, side))  # lets a large JPEG be read at a fraction of its size
    upright = ImageOps.exif_transpose(image).convert("RGBA")
    upright.thumbnail((side, side))
    clean = Image.new("RGBA", upright.size)
    clean.paste(upright)
    return clean
