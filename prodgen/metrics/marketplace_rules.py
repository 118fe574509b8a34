"""The rules of marketplaces for a listing's main image, one table, each with its source and date.

`white_main`, `square_catalogue` and `any_even` approximate common rules. The others follow one
marketplace each. A rule that a marketplace only advises is listed in `advice`: an image that breaks
it has a note and no fault. Limits that no marketplace writes as numbers are this program's own:
how far a background may vary, how blurred an edge may be, how much real detail an image needs.
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Source:
    """Where rules come from: a page, its address, and the date on which it was read.

    is_first_hand: the page is the marketplace's own. open_points: what could not be verified.
    """

    title: str
    url: str
    date: str
    is_first_hand: bool
    open_points: str = ""


@dataclasses.dataclass(frozen=True)
class Profile:
    """A marketplace's rules for a main image.

    background: the required colour, levels; None: any. min_white_share: of the background's pixels
    that are exactly white; max_white_distance: of any of them from white, levels; max_evenness: the
    background's standard deviation, levels. fill: (least, most) share of the frame's side that the
    product's box takes; target_fill: the share that `repair` aims at. max_off_centre: offset of the
    box's centre, a share of the side. min_side and min_native: pixels on the longest side, those of
    the file and those that its detail fills. max_blur: standard deviation of the edges in pixels,
    in an image reduced to `min_side`. square: as high as wide.

    min_short_side: pixels on the shortest side. recommended_side: pixels on the longest side below
    which an image has a note; 0: none. max_side, max_pixels, max_bytes: of a file. formats: names
    of core/formats.py; empty: any. advice: keys of reasons that are notes. manual_rules: rules that
    no measure here checks, in words.
    """

    background: tuple[int, int, int] | None
    min_white_share: float
    max_white_distance: float
    max_evenness: float
    fill: tuple[float, float]
    target_fill: float
    max_off_centre: float
    min_side: int
    min_native: int
    max_blur: float
    square: bool
    min_short_side: int = 0
    recommended_side: int = 0
    max_side: float = math.inf
    max_pixels: float = math.inf
    max_bytes: float = math.inf
    formats: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    manual_rules: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def min_square_side(self) -> int:
        """The pixels a side of the smallest square that meets the rules of size."""
        return max(self.min_side, self.min_short_side)


WHITE = (255, 255, 255)
MB = 1_000_000  # bytes
NO_TEXT = "no text, logo, watermark or border that is not part of the product"
ONLY_PRODUCT = "nothing but the product that is for sale"
READ_ON = "2026-11-30"

# JPEG's ringing changes some white around the product: a share of 0.8 allows it, but no grey wall.
PROFILES = {
    "white_main": Profile(WHITE, 0.8, 24, 4, (0.85, 1.0), 0.9, 0.10, 1000, 500, 1.0, False),
    "square_catalogue": Profile(WHITE, 0.0, 24, 4, (0.70, 0.95), 0.85, 0.03, 800, 400, 1.0, True),
    "any_even": Profile(None, 0.0, 255, 4, (0.50, 0.95), 0.85, 0.10, 1000, 500, 1.0, False),
    "amazon": Profile(
        WHITE, 0.8, 24, 4, (0.85, 1.0), 0.9, 0.10, 1000, 500, 1.0, False,
        recommended_side=1600, max_side=10_000, max_bytes=10 * MB,
        formats=("JPEG", "PNG", "TIFF", "GIF"), advice=("off_centre",),
        manual_rules=(
            NO_TEXT, ONLY_PRODUCT, "a photo, no drawing", "the whole product in the frame",
        ),
        source=Source(
            "Amazon product image requirements",
            "https://mercatuslab.com/blog/amazon-product-image-requirements", READ_ON, False,
            "Seller Central shows its own page to sellers only. Files of 500 to 999 px are accepted"
            " without zoom. The limit of 10 MB and the refusal of WebP come from another page.",
        ),
    ),
    "ebay": Profile(
        None, 0.0, 255, 4, (0.50, 1.0), 0.85, 0.10, 500, 250, 1.0, False,
        recommended_side=1600, max_bytes=12 * MB,
        formats=("JPEG", "GIF", "PNG", "BMP", "TIFF", "AVIF", "HEIC", "WEBP"),
        advice=("background", "fill", "off_centre", "transparent"),
        manual_rules=(NO_TEXT, "a used item: no stock photo"),
        source=Source(
            "eBay: Picture policy; Media API, createImageFromFile (formats)",
            "https://www.ebay.com/help/policies/listing-policies/picture-policy?id=4370",
            READ_ON, True, "The advice of 1,600 px and the limit of 12 MB come from other pages.",
        ),
    ),
    "google": Profile(
        WHITE, 0.0, 24, 4, (0.75, 0.90), 0.85, 0.10, 500, 250, 1.0, False, min_short_side=500,
        recommended_side=1500, max_pixels=64_000_000, max_bytes=16 * MB,
        formats=("JPEG", "WEBP", "PNG", "GIF", "BMP", "TIFF"),
        advice=("background", "fill", "off_centre", "transparent"),
        manual_rules=("no promotional text, watermark or border", "no placeholder"),
        source=Source(
            "Google Merchant Center: image link [image_link]",
            "https://support.google.com/merchants/answer/6324350", READ_ON, True,
            "500 x 500 px is required from 2027-01-31. Before, it is 100 x 100 px, and 250 x 250"
            " for clothes, by other pages. White and the share of 75 to 90 % are advice there.",
        ),
    ),
    "etsy": Profile(
        None, 0.0, 255, 4, (0.50, 1.0), 0.85, 0.10, 635, 318, 1.0, False, min_short_side=635,
        recommended_side=2000, max_bytes=10 * MB, formats=("JPEG", "PNG", "GIF"),
        advice=("background", "fill", "off_centre"),
        manual_rules=("the item itself, no rendering and no stock photo",),
        source=Source(
            "Etsy and other marketplace image rules; Etsy's own page has no sizes",
            "https://dev.to/herofab/check-product-photos-against-amazon-etsy-and-96-other-"
            "marketplace-image-rules-with-a-free-api-no-5982", READ_ON, False,
            "The page of Etsy's help centre was not available. Formats and 10 MB come from"
            " https://hauld.app/blog/etsy-listing-photo-checklist (2026-05-26).",
        ),
    ),
    "shopify": Profile(
        None, 0.0, 255, 4, (0.50, 1.0), 0.85, 0.10, 800, 400, 1.0, True,
        recommended_side=2048, max_side=5000, max_pixels=25_000_000, max_bytes=20 * MB,
        formats=("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "HEIC"),
        advice=("background", "fill", "off_centre", "transparent", "square"),
        manual_rules=("one aspect ratio in the whole shop",),
        source=Source(
            "Shopify: Manage media for products; Shopify product image size guide",
            "https://help.shopify.com/api/guides/media", READ_ON, True,
            "Advice for the own shop, no rule. The page gives JPEG, PNG, GIF, 4,472 px and 20"
            " megapixels. Newer pages of others give more formats, 5,000 px, 25 megapixels,"
            " 20 MB, and 800 px for the zoom.",
        ),
    ),
}  # fmt: skip
