"""Views that come after others of their exam were analysed, whose results stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mammoscope.findings import Analysis
from mammoscope.writers.dicom.identity import tracking
from mammoscope.writers.dicom.origin import Origin


@dataclass(frozen=True, eq=False)
class SeenAgain:
    """A view that was analysed before.

    Attributes
    ----------
    now
        What is found on it together with a late view.
    before
        What its results say.
    origin
        Its image.
    """

    now: Analysis
    before: Analysis
    origin: Origin


def with_known_lesions(late: Analysis, seen: Sequence[SeenAgain]) -> Analysis:
    """The analysis of a late view, whose lesions are called as results of the other views call them.

    A lesion is named after all its findings, so that a late one would give it another name than it has. Findings that
    were not linked before have a tracking UID of their own, which then is the lesion's.

    Parameters
    ----------
    late
        As it was analysed together with ``seen``.
    """
    names: dict[str, str] = {}
    for view in seen:
        known = {(finding.kind, finding.box): number for number, finding in enumerate(view.before.findings, start=1)}
        for finding in view.now.findings:
            number = known.get((finding.kind, finding.box))
            if finding.lesion is not None and number is not None:
                names.setdefault(finding.lesion, tracking(view.before, view.origin, number)["uid"])
    findings = tuple(
        finding.model_copy(update={"lesion": names.get(finding.lesion or "", finding.lesion)})
        for finding in late.findings
    )
    return late.model_copy(update={"findings": findings})


def left_out(gone: int, of_others: int) -> list[str]:
    """What a report on an exam says of images that were analysed before and are not in it.

    Parameters
    ----------
    gone, of_others
        How many have no file any more, and how many were analysed by other models or at another threshold.
    """
    reasons = ((gone, "no file is kept"), (of_others, "analysed by other settings"))
    return [
        f"{count} image{'' if count == 1 else 's'} of this exam that came earlier "
        f"{'is' if count == 1 else 'are'} not in this report: {reason}."
        for count, reason in reasons
        if count
    ]
