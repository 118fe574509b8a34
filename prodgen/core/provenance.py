"""Where a picture comes from, as its own file says it: text that travels with a PNG.

Beside words for people, IPTC's Digital Source Type for programs: marketplaces ask that pictures of
a model carry it (cv.iptc.org/newscodes/digitalsourcetype).
"""

from __future__ import annotations

import os

from PIL import Image

XMP = "XML:com.adobe.xmp"
SOURCES = {  # what was done -> IPTC's Digital Source Type; "" where no model had a part in it
    "generated": "trainedAlgorithmicMedia",
    "composed of generated pictures": "compositeSynthetic",
    "composed": "",
    "augmented": "",
    "mended": "",
}
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about=""'
    ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def text(done: str, origin: str) -> dict[str, str]:
    """The text of a PNG: what was `done`, one of SOURCES, and from what, as "run 1a2b, step 9"."""
    found = {"Software": "prodgen", "prodgen": f"{done}; {origin}"}
    return found | ({XMP: _PACKET.format(SOURCES[done])} if SOURCES[done] else {})


def is_generated(path: str | os.PathLike[str]) -> bool:
    """Whether the picture in a file says that a model made it, or a part of it."""
    try:
        with Image.open(path) as image:
            packet = image.info.get(XMP) or image.info.get("xmp") or ""
            said = str(image.info.get("prodgen", ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    packet = packet.decode("utf-8", "replace") if isinstance(packet, bytes) else str(packet)
    kinds = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia",
             "compositeSynthetic")  # fmt: skip
    return said.startswith("generated") or "of generated" in said or any(k in packet for k in kinds)
