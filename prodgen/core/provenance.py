"""Statements about the origin of an image, stored as text in its PNG file.

Beside text for people, a file carries IPTC's Digital Source Type for programs. Marketplaces require
it of images from a generative model (cv.iptc.org/newscodes/digitalsourcetype).
"""

from __future__ import annotations

import os

from PIL import Image

XMP_KEY = "XML:com.adobe.xmp"
DIGITAL_SOURCE_TYPES = {  # the action -> IPTC's Digital Source Type; "" if no model took part in it
    "generated": "trainedAlgorithmicMedia",
    "composed of generated pictures": "compositeSynthetic",
    "composed": "",
    "augmented": "",
    "mended": "",
}
GENERATIVE_SOURCE_TYPES = (
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic",
)  # fmt: skip
XMP_TEMPLATE = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def build_png_text(action: str, origin: str) -> dict[str, str]:
    """The text chunks of a PNG.

    action: a key of DIGITAL_SOURCE_TYPES. origin: what the action was applied to, as in
    "run 1a2b, step 9".
    """
    text = {"Software": "prodgen", "prodgen": f"{action}; {origin}"}
    source_type = DIGITAL_SOURCE_TYPES[action]
    return text | ({XMP_KEY: XMP_TEMPLATE.format(source_type)} if source_type else {})


def is_generated(path: str | os.PathLike[str]) -> bool:
    """Whether an image file states that a generative model made it or a part of it."""
    try:
        with Image.open(path) as image:
            packet = image.info.get(XMP_KEY) or image.info.get("xmp") or ""
            statement = str(image.info.get("prodgen", ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    if statement.startswith("generated") or "of generated" in statement:
        return True
    packet = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    return any(source_type in packet for source_type in GENERATIVE_SOURCE_TYPES)
