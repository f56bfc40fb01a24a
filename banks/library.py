"""The library of reference audio: what is there, how it sounds, who uses it; trimming and transcribing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from banks import transcribe
from banks.models import ReferenceAudio
from banks.recording_forms import ReferenceAudioForm, TrimForm
from banks.recordings import QUIET_DB, REFERENCE_BYTES, REFERENCE_SECONDS
from providers.admin_base import ModelAdmin
from providers.audit import record
from providers.errors import BadAudio, SpeechError

# What suits most engines that clone, in seconds.
SHORT, LONG = 3.0, 30.0


class UseFilter(admin.SimpleListFilter):
    title = gettext_lazy("use")
    parameter_name = "used"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Used by characters")), ("no", _("Not used"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = {"yes": False, "no": True}.get(self.value() or "")
        return queryset if wanted is None else queryset.filter(characters__isnull=wanted).distinct()


@admin.register(ReferenceAudio)
class ReferenceAudioAdmin(ModelAdmin[ReferenceAudio]):
    form = ReferenceAudioForm
    list_display = ["name", "listen", "waveform_view", "length", "level", "language", "use", "consent"]
    list_filter = [UseFilter, "may_be_cloned", ("language", admin.AllValuesFieldListFilter)]
    search_fields = ["name", "transcript", "consent_note"]
    list_per_page = 50
    list_before_template = "admin/banks/intro.html"
    intro = gettext_lazy(
        "Recordings of voices to clone. Upload one or record it in the browser; then choose it in a character whose"
        " provider can clone."
    )
    change_form_outer_before_template = "admin/banks/referenceaudio/panel.html"

    class Media:
        css = {"all": ["neiroha/banks.css"]}
        js = ["neiroha/recording.js"]

    def get_urls(self) -> list[URLPattern]:
        guard = self.admin_site.admin_view
        return [
            path("<path:object_id>/trim/", guard(self.trim_view), name="banks_referenceaudio_trim"),
            path("<path:object_id>/transcribe/", guard(self.transcribe_view), name="banks_referenceaudio_transcribe"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReferenceAudio]:
        return super().get_queryset(request).annotate(used=Count("characters"))

    def get_fieldsets(self, request: HttpRequest, obj: ReferenceAudio | None = None) -> Any:
        may_upload = obj is None or self.has_change_permission(request, obj)
        upload = ["upload"] if may_upload else []
        return [
            (None, {"fields": [*upload, "name", "transcript", "language"]}),
            (_("Consent"), {"fields": ["consent_note", "may_be_cloned"]}),
        ]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        reference: ReferenceAudio | None = context.get("original")
        may_change = self.has_change_permission(request, reference) if reference else True
        context |= {
            "may_record": may_change,
            "max_seconds": REFERENCE_SECONDS,
            "max_bytes": REFERENCE_BYTES,
            **(self._panel(request, reference) if reference else {}),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def _panel(self, request: HttpRequest, reference: ReferenceAudio) -> dict[str, Any]:
        may_change = self.has_change_permission(request, reference)
        here = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        hears = may_change and transcribe.ready() and reference.duration <= transcribe.MAX_SECONDS
        return {
            "waveform": waveform(reference),
            "hints": hints(reference),
            "level": level(reference),
            "length": self.length(reference),
            "users": reference.characters.filter(archived_at=None),
            "archived_users": reference.characters.exclude(archived_at=None).count(),
            "trim_url": reverse(f"{here}_trim", args=[reference.pk]) if self._may_trim(request, reference) else "",
            "transcribe_url": reverse(f"{here}_transcribe", args=[reference.pk]) if hears else "",
        }

    def response_post_save_add(self, request: HttpRequest, obj: ReferenceAudio) -> HttpResponseRedirect:
        """To its page, which tells how it came out."""
        return HttpResponseRedirect(self._url(obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ReferenceAudio]) -> None:
        for reference in queryset:
            reference.delete()

    # Pages of their own.

    def trim_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        reference = self._found(request, object_id)
        if not self._may_trim(request, reference):
            raise PermissionDenied
        form = TrimForm(reference, request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                return HttpResponseRedirect(self._url(self._trim(request, form)))
            except BadAudio as error:
                form.add_error("end", error.message)
            except FileNotFoundError:
                form.add_error(None, _("The file of this recording is missing. Upload it again."))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Trim %s") % reference,
            "opts": self.opts,
            "original": reference,
            "form": form,
            "waveform": waveform(reference),
            "back_url": self._url(reference),
            "used": reference.characters.count(),
        }
        return TemplateResponse(request, "admin/banks/referenceaudio/trim.html", context)

    def transcribe_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """For the page's script: a suggestion, which a person reads and saves."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        reference = self._found(request, object_id)
        if not self.has_change_permission(request, reference):
            raise PermissionDenied
        if not transcribe.ready() or reference.duration > transcribe.MAX_SECONDS:
            raise Http404
        try:
            heard = transcribe.transcribe(reference.recording(), reference.language)
        except SpeechError as error:
            return JsonResponse({"problem": error.message})
        except FileNotFoundError:
            return JsonResponse({"problem": _("The file of this recording is missing. Upload it again.")})
        problem = "" if heard.text else _("No words were heard in it.")
        return JsonResponse({"transcript": heard.text, "language": heard.language, "problem": problem})

    def _trim(self, request: HttpRequest, form: TrimForm) -> ReferenceAudio:
        trimmed = form.trim()
        for note in trimmed.notes():
            record(request.user, *note)
        told = _("“%s” is the part that you chose.") if trimmed.added else _("“%s” is trimmed.")
        text = told % trimmed.part
        if trimmed.original:
            text += " " + _("The untrimmed recording is “%s”.") % trimmed.original
        self.message_user(request, text, messages.SUCCESS)
        return trimmed.part

    def _may_trim(self, request: HttpRequest, reference: ReferenceAudio) -> bool:
        """It may change the recording or make a new one, and a kept original is a new one, too."""
        return self.has_change_permission(request, reference) and self.has_add_permission(request)

    def _found(self, request: HttpRequest, object_id: str) -> ReferenceAudio:
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404
        return found

    def _url(self, reference: ReferenceAudio) -> str:
        return reverse("admin:banks_referenceaudio_change", args=[reference.pk])

    # Columns.

    @admin.display(description=gettext_lazy("length"), ordering="duration")
    def length(self, reference: ReferenceAudio) -> str:
        return _("%.1f s") % reference.duration

    @admin.display(description=gettext_lazy("listen"))
    def listen(self, reference: ReferenceAudio) -> SafeString:
        return player(reference)

    @admin.display(description=gettext_lazy("waveform"))
    def waveform_view(self, reference: ReferenceAudio) -> SafeString:
        return waveform(reference)

    @admin.display(description=gettext_lazy("level"), ordering="loudness")
    def level(self, reference: ReferenceAudio) -> SafeString:
        return format_html('<span class="nr-nowrap">{}</span> {}', level(reference), _tags(_level_hints(reference)))

    @admin.display(description=gettext_lazy("used by"), ordering="used")
    def use(self, reference: ReferenceAudio) -> SafeString | str:
        count = int(getattr(reference, "used", 0))
        if not count:
            return _("nobody")
        url = f"{reverse('admin:banks_character_changelist')}?reference={reference.pk}"
        text = ngettext("%d character", "%d characters", count) % count
        return format_html('<a class="nr-link nr-nowrap" href="{}">{}</a>', url, text)

    @admin.display(description=gettext_lazy("consent"), ordering="may_be_cloned")
    def consent(self, reference: ReferenceAudio) -> SafeString:
        if reference.may_be_cloned:
            return format_html('<span class="nr-tag nr-tag-ok">{}</span>', _("Given"))
        return format_html('<span class="nr-tag nr-tag-warn">{}</span>', _("Not noted"))


def player(reference: ReferenceAudio) -> SafeString:
    label = _("Listen to %s") % reference
    html = '<audio class="nr-audio" controls preload="none" src="{}" aria-label="{}"></audio>'
    return format_html(html, reference.url, label)


def waveform(reference: ReferenceAudio) -> SafeString:
    """A line for each part; a quiet recording is drawn larger, at most four times."""
    levels = [int(value) for value in reference.waveform]
    if not levels:
        return SafeString("")
    scale = min(48 / max(*levels, 1), 2.0)
    path_data = "".join(
        f"M{x + 0.5} {50 - value * scale - 0.5:.1f}v{2 * value * scale + 1:.1f}" for x, value in enumerate(levels)
    )
    html = (
        '<svg class="nr-waveform" viewBox="0 0 {} 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path d="{}"/></svg>'
    )
    return format_html(html, len(levels), _("Waveform of %s") % reference, path_data)


def level(reference: ReferenceAudio) -> str:
    if reference.loudness is None or reference.peak is None:
        return _("not measured")
    return _("%(loudness).1f dBFS, peak %(peak).1f") % {"loudness": reference.loudness, "peak": reference.peak}


def hints(reference: ReferenceAudio) -> list[str]:
    """What would make cloning from it fail or sound poor, and what to do."""
    found = [text for _tag, text in _level_hints(reference)]
    if reference.duration < SHORT:
        found.append(_("Short: most engines want 5 to 15 seconds."))
    elif reference.duration > LONG:
        found.append(_("Long: most engines want 5 to 15 seconds. Trim it to the best part."))
    if not reference.may_be_cloned:
        found.append(_("Nobody has noted that the speaker agreed to be cloned."))
    return found


def _level_hints(reference: ReferenceAudio) -> list[tuple[str, str]]:
    """Short words and their explanation."""
    found = []
    if reference.clipped:
        found.append((_("Clipped"), _("Clipped: its loudest parts are cut off. Record it again, a little quieter.")))
    if reference.loudness is not None and reference.loudness < QUIET_DB:
        found.append((_("Too quiet"), _("Too quiet: record it again, closer to the microphone.")))
    return found


def _tags(found: Iterable[tuple[str, str]]) -> SafeString:
    return format_html_join(" ", '<span class="nr-tag nr-tag-warn" title="{1}">{0}</span>', found)
