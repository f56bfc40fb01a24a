"""The pronunciation dictionary as it is stored: for everything, or for one bank."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from banks.pronunciation import LONGEST_RULE, Rule, Rules, compiled

# In one scope.
MOST_RULES = 2000
_TWICE = _("There is a rule for this already.")
TOO_MANY = _("A dictionary holds at most %d rules.")


class PronunciationRule(models.Model):
    """What the scopes share: each has a table of its own."""

    written = models.CharField(_("written"), max_length=LONGEST_RULE, help_text=_("As it stands in the text."))
    spoken = models.CharField(
        _("spoken"),
        max_length=LONGEST_RULE,
        blank=True,
        help_text=_("As it would be written for the voice to say it right. Empty: it is left out."),
    )
    is_pattern = models.BooleanField(
        _("pattern"),
        default=False,
        help_text=_("“Written” is a regular expression; “spoken” may name its groups as \\1."),
    )
    language = models.CharField(
        _("language"), max_length=35, blank=True, help_text=_("Such as en or zh-CN. Empty: every language.")
    )
    match_case = models.BooleanField(_("match case"), default=False)
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        abstract = True
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.written} → {self.spoken or '∅'}"

    def clean(self) -> None:
        super().clean()
        self.clean_rule()
        if self.siblings().exclude(pk=self.pk).count() >= MOST_RULES:
            raise ValidationError(TOO_MANY % MOST_RULES)

    def clean_rule(self) -> None:
        """What can be said of a rule without looking at the others."""
        self.language = self.language.strip()
        if not self.is_pattern:
            self.written = " ".join(self.written.split())
        if not self.written:
            raise ValidationError({"written": _("Enter a word.")})
        for name in ("written", "spoken", "language"):
            if "\0" in getattr(self, name):
                raise ValidationError({name: _("Null characters are not allowed.")})
        if self.is_pattern:
            try:
                compiled(self.rule())
            except ValueError as error:
                raise ValidationError({"written": _("This pattern can't be used: %s.") % error}) from error

    @property
    def key(self) -> tuple[str, str]:
        """What there is one rule for in a scope."""
        return self.written, self.language.lower()

    def siblings(self) -> models.QuerySet[Any]:
        """The rules of the same scope."""
        raise NotImplementedError

    def rule(self) -> Rule:
        return Rule(self.written, self.spoken, self.is_pattern, self.language, self.match_case)


class Pronunciation(PronunciationRule):
    bank = models.ForeignKey(
        "banks.Bank",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="pronunciations",
        verbose_name=_("bank"),
        help_text=_("Only for this bank's characters. Empty: for everybody."),
    )

    class Meta(PronunciationRule.Meta):
        abstract = False
        verbose_name = _("pronunciation")
        verbose_name_plural = _("pronunciations")
        constraints = [
            models.UniqueConstraint(
                "bank", "written", Lower("language"), name="pronunciation_once", violation_error_message=_TWICE
            ),
            models.UniqueConstraint(
                "written",
                Lower("language"),
                condition=models.Q(bank=None),
                name="pronunciation_once_for_all",
                violation_error_message=_TWICE,
            ),
        ]

    def siblings(self) -> models.QuerySet[Any]:
        return Pronunciation.objects.filter(bank=self.bank)


_RULE_FIELDS = tuple(each.name for each in fields(Rule))


def rules_for(bank_id: int | None, nearer: models.QuerySet[Any] | None = None) -> Rules:
    """What holds for a bank's characters: stored rules of a `nearer` scope, the bank's own, those for everybody. One
    query."""
    scope = models.Case(models.When(bank=None, then=2), default=1)
    shared = Pronunciation.objects.filter(models.Q(bank=None) | models.Q(bank=bank_id)).annotate(scope=scope)
    found = _values(shared)
    if nearer is not None:
        found = found.union(_values(nearer.annotate(scope=models.Value(0))), all=True)
    return Rules(tuple(Rule(*values) for _scope, _pk, *values in sorted(found)))


def _values(rows: models.QuerySet[Any]) -> models.QuerySet[Any, Any]:
    """Of the rules that are switched on."""
    return rows.filter(enabled=True).order_by().values_list("scope", "pk", *_RULE_FIELDS)


def rules_by_bank() -> tuple[Rules, dict[int, Rules]]:
    """Those for everybody, and for each bank that has own ones all that hold there. One query."""
    scopes: dict[int | None, list[Rule]] = {}
    for row in Pronunciation.objects.filter(enabled=True):
        scopes.setdefault(row.bank_id, []).append(row.rule())
    common = Rules(tuple(scopes.pop(None, ())))
    own = {bank: Rules.joined(Rules(tuple(rules)), common) for bank, rules in scopes.items() if bank is not None}
    return common, own


def problems(row: Pronunciation, taken: Collection[tuple[str, str]]) -> list[str]:
    """What is wrong with a rule that comes with many others, of which `taken` are the keys. No query."""
    found = []
    try:
        row.clean_fields(exclude=["bank"])
        row.clean_rule()
    except ValidationError as error:
        found = [f"{name}: {reason}" for name, reasons in error.message_dict.items() for reason in reasons]
    return found or ([str(_TWICE)] if row.key in taken else [])
