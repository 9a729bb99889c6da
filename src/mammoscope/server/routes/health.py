"""What the server is, and whether it can take more."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from mammoscope.findings import Thresholds
from mammoscope.kinds import KINDS
from mammoscope.server.models import FindingKind, Health, Limits, Queue
from mammoscope.server.routes.found import problems
from mammoscope.server.state import StateOf
from mammoscope.server.validation import Validation

router = APIRouter(tags=["health"])


@router.get("/health", summary="Software, models, limits and queue", responses=problems())
def health(state: StateOf) -> Health:
    """The server's version and bundle, its operating point, what it takes, and how much waits."""
    models = state.bundle.manifest
    return Health(
        bundle=state.bundle.identity,
        thresholds=Thresholds(**models.thresholds.model_dump()),
        floor=state.floor,
        limits=Limits(**asdict(state.settings.limits)),
        queue=Queue(waiting=state.store.waiting(), limit=state.settings.queue),
        kinds=tuple(FindingKind.of(kind, state.bundle.kinds) for kind in KINDS),
        sees_exams=state.bundle.sees_exams,
        validation=Validation.of(models),
    )
