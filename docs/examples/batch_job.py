"""Write COUNT images of a category: python batch_job.py FOLDER OUT COUNT [LABEL]

They are 000000.png, 000001.png, ... in the folder OUT. The same command gives the same images.
"""

import json
import sys
from pathlib import Path

import numpy as np
from jax import device_put, export, jit
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file

SIZE, SEED = 64, 0  # SIZE: of each batch, also of the last one: one program is compiled
XMP = "XML:com.adobe.xmp"  # states that an image is generated, as in samples.png of the folder
NAMES = ("label", "attributes", "known")


def main(folder: Path, out: Path, count: int, label: str = "") -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt(XMP, Image.open(folder / "samples.png").text[XMP])
    facts = json.loads((folder / "export.json").read_text("utf-8"))
    conditions = dict(np.load(folder / "conditions.npz"))  # of the training images
    labels = np.array(["", *facts["spec"]["classes"]])[conditions["label"] + 1]
    if label and label not in labels:
        sys.exit(f"the category {label!r} is not among {', '.join(sorted({*labels} - {''}))}")
    candidates = np.flatnonzero((labels == label) | (label == ""))
    weights = device_put(load_file(folder / "model.safetensors"))
    program = export.deserialize(bytearray((folder / "generator.stablehlo").read_bytes()))
    generate = jit(program.call)

    out.mkdir(parents=True, exist_ok=True)
    for start in range(0, count, SIZE):
        rng = np.random.default_rng((SEED, start))
        z = rng.standard_normal((SIZE, facts["latent"]), np.float32)
        rows = rng.choice(candidates, SIZE)
        images = np.asarray(generate(weights, z, *(conditions[name][rows] for name in NAMES)))
        for i, image in enumerate(images[: count - start], start):
            Image.fromarray(image.squeeze()).save(out / f"{i:06d}.png", pnginfo=text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:5])
