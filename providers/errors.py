"""Everything that can go wrong on the way to speech, in one family.

SpeechError                     500  the base; never raised itself
├── InvalidRequest              400  the caller must change the request; `param` names the field
│   ├── NothingToSay            400  no words in the text
│   ├── UnsupportedOption       400  this voice cannot do what was asked
│   └── OverDailyBudget         400  the text alone is more than the provider may speak in a day
├── VoiceNotFound               404  no such voice where the caller may look
├── QueueError                  503  the shared queue could not start the work
│   ├── QueueFull               503
│   ├── QueueTimeout            503  the deadline passed while waiting
│   ├── ProviderResting         503  the provider asked for a pause, or cools down after failures
│   ├── QueueCancelled          503  somebody cancelled it
│   ├── QueueUnreachable        503  the Redis that holds the shared queue does not answer
│   ├── PlaceLost               503  this process was away so long that others have its place; trying again helps
│   └── DailyBudgetSpent        429  today's requests or tokens are used up
└── ProviderError               500  the provider failed
    ├── ProviderUnavailable     500  it is not installed, not configured or switched off
    ├── UpstreamUnreachable     500  no connection, or it broke; trying again can help
    ├── UpstreamTimeout         500  no answer in time; trying again can help
    ├── UpstreamUnauthorized    500  our key was refused
    ├── UpstreamRejected        500  it understood and refused
    ├── UpstreamQuotaSpent      429  the account's own quota at the provider is used up; a later day, another model or
    │                                the fallback helps
    ├── UpstreamBusy            500  rate limit or overload upstream; trying again can help
    ├── UpstreamFailed          500  it broke; trying again can help
    └── BadAudio                500  what came back is not the audio that was asked for

`permanent` is true where the same request can't succeed later. Standard library only.
"""

from __future__ import annotations


class SpeechError(Exception):
    """A failure with a message for people, an HTTP status and a machine-readable code."""

    status = 500
    code = "speech_failed"
    permanent = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class InvalidRequest(SpeechError):
    status = 400
    code = "invalid_value"
    permanent = True


class NothingToSay(InvalidRequest):
    code = "nothing_to_say"


class UnsupportedOption(InvalidRequest):
    code = "unsupported_value"


class OverDailyBudget(InvalidRequest):
    code = "over_daily_budget"


class VoiceNotFound(SpeechError):
    status = 404
    code = "voice_not_found"
    permanent = True


class QueueError(SpeechError):
    status = 503
    code = "queue_unavailable"


class QueueFull(QueueError):
    code = "queue_full"


class QueueTimeout(QueueError):
    code = "queue_timeout"


class ProviderResting(QueueError):
    code = "provider_resting"


class QueueCancelled(QueueError):
    code = "cancelled"
    permanent = True


class QueueUnreachable(QueueError):
    code = "queue_unreachable"


class PlaceLost(QueueError):
    code = "place_lost"


class DailyBudgetSpent(QueueError):
    status = 429
    code = "daily_budget_spent"
    permanent = True


class ProviderError(SpeechError):
    code = "provider_failed"


class ProviderUnavailable(ProviderError):
    code = "provider_unavailable"
    permanent = True


class UpstreamUnreachable(ProviderError):
    code = "upstream_unreachable"


class UpstreamTimeout(ProviderError):
    code = "upstream_timeout"


class UpstreamUnauthorized(ProviderError):
    code = "upstream_unauthorized"
    permanent = True


class UpstreamRejected(ProviderError):
    code = "upstream_rejected"
    permanent = True


class UpstreamQuotaSpent(ProviderError):
    status = 429
    code = "upstream_quota_spent"
    permanent = True


class UpstreamBusy(ProviderError):
    code = "upstream_busy"


class UpstreamFailed(ProviderError):
    code = "upstream_failed"


class BadAudio(ProviderError):
    code = "bad_audio"
