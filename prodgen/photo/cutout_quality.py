"""Quality check of a cut-out: the method's findings and those of the mask.

`no_product`, `several`, `second_piece`, `unsure` and the method's own are doubts; `touches_border`
is a note.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from prodgen.photo import morphology
from prodgen.photo.mask_estimate import Finding, MaskEstimate

MIN_COVERAGE, MAX_COVERAGE = 0.004, 0.97  # shares of the frame: less is dust, more a flat image
MIN_SECOND_PRODUCT = 0.2  # of the largest piece's area: a second product, no part of the first
MIN_SECOND_PIECE = 0.05  # of it: a part that lost its connection, or another object
MAX_BORDER_CONTACT = 0.01  # of the frame's border
MAX_UNCERTAINTY = 0.5  # of MaskEstimate.uncertainty
FAILURES = ("no_product", "unsure")  # findings that make an image unfit for training


@dataclasses.dataclass(frozen=True)
class CutoutQuality:
    """findings: the most serious first, none of a clean cut-out. coverage: the product's share
    of the frame. box: (top, left, bottom, right) in shares of the frame's sides, or None."""

    findings: tuple[Finding, ...]
    coverage: float
    box: tuple[float, float, float, float] | None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(finding.key for finding in self.findings)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """The findings for which a person must look at the cut-out."""
        return tuple(finding for finding in self.findings if not finding.is_note)

    def describe_doubts(self) -> tuple[str, ...]:
        """The doubts in words."""
        return tuple(map(str, self.doubts))

    @property
    def empty(self) -> bool:
        """There is no product to cut out."""
        return "no_product" in self.keys

    @property
    def failure(self) -> str:
        """Why the image is unfit for training, or an empty text."""
        return next((str(finding) for finding in self.findings if finding.key in FAILURES), "")


def assess_mask(estimate: MaskEstimate) -> CutoutQuality:
    """The quality of a mask, from the mask alone."""
    mask = estimate.mask > 0.5
    coverage = float(mask.mean())
    if not MIN_COVERAGE <= coverage <= MAX_COVERAGE:
        is_full = coverage > MAX_COVERAGE
        words = "the whole frame looks alike" if is_full else "nothing stands out"
        return CutoutQuality((Finding("no_product", words),), coverage, None)
    findings = []
    if estimate.uncertainty > MAX_UNCERTAINTY:
        words = f"uncertainty of {estimate.uncertainty:.2f}, at most {MAX_UNCERTAINTY:g}"
        findings.append(Finding("unsure", words))
    findings.extend(estimate.findings)
    _, areas = morphology.label_components(mask)
    shares = areas / areas.max()
    count = int((shares >= MIN_SECOND_PRODUCT).sum())
    if count > 1:
        findings.append(Finding("several", f"{count} pieces of similar size"))
    elif (shares >= MIN_SECOND_PIECE).sum() > 1:
        words = f"a piece of {np.sort(shares)[-2]:.0%} of the product lies beside it"
        findings.append(Finding("second_piece", words))
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    contact = float(border.mean())
    if contact > MAX_BORDER_CONTACT:
        words = f"{contact:.1%} of the frame's border is product"
        findings.append(Finding("touches_border", words, is_note=True))
    top, left, bottom, right = morphology.bounding_box(mask)
    height, width = mask.shape
    box = (top / height, left / width, bottom / height, right / width)
    return CutoutQuality(tuple(findings), coverage, box)
