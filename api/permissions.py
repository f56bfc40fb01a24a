from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api import request as api_request
from api.models import Access, Scope

if TYPE_CHECKING:
    from rest_framework.views import APIView


class MaySpeak(BasePermission):
    """Decides which banks the caller sees; refuses who may see none."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        asked = api_request.of(request)
        state, key = asked.state, api_request.caller_key(request)
        if key is not None:
            if key.scope == Scope.METRICS:
                raise PermissionDenied("This API key is for metrics only: use another one.")
            asked.banks = state.roster.visible(key.bank_ids)
        elif state.controls.access == Access.OPEN:
            asked.banks = state.roster.banks
        elif state.controls.public_lists and getattr(view, "is_list", False):
            asked.banks = tuple(bank for bank in state.roster.banks if bank.public)
        else:
            raise NotAuthenticated("This server needs an API key: send it as “Authorization: Bearer KEY”.")
        return True


class MayHaveJobs(MaySpeak):
    """For keys only, whatever access is: a job belongs to its key, and what it speaks to the key's owner."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        key = api_request.caller_key(request)
        if key is None:
            raise NotAuthenticated("Jobs need an API key of this server: send it as “Authorization: Bearer KEY”.")
        if key.owner_id is None:
            raise PermissionDenied(
                "This API key has no owner, and what a job speaks belongs to somebody: give the key an owner."
            )
        return super().has_permission(request, view)
