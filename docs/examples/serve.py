"""python serve.py FOLDER PORT: then GET /images?label=mug&n=4&seed=1 gives a PNG of 4 images."""

import io
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import uvicorn
from fastapi import FastAPI, Query, Response
from jax import device_put, export, jit
from PIL import Image, PngImagePlugin
from safetensors.numpy import load_file

SIZES = (1, 4, 16)  # a request is padded to the next of these batches: nothing is compiled again
Count, Seed = Annotated[int, Query(ge=1, le=SIZES[-1])], Annotated[int, Query(ge=0, lt=2**32)]
XMP = "XML:com.adobe.xmp"  # states that an image is generated, as in samples.png of the folder
folder, app, text = Path(sys.argv[1]), FastAPI(), PngImagePlugin.PngInfo()
text.add_itxt(XMP, Image.open(folder / "samples.png").text[XMP])
facts = json.loads((folder / "export.json").read_text("utf-8"))
conditions = dict(np.load(folder / "conditions.npz"))  # of the training images
labels = np.array(["", *facts["spec"]["classes"]])[conditions["label"] + 1]  # "" if unknown
weights = device_put(load_file(folder / "model.safetensors"))
generate = jit(export.deserialize(bytearray((folder / "generator.stablehlo").read_bytes())).call)


@app.get("/images")
def draw_images(label: Literal["", *labels.tolist()] = "", n: Count = 1, seed: Seed = 0):
    rng, size = np.random.default_rng(seed), min(size for size in SIZES if size >= n)
    z = rng.standard_normal((size, facts["latent"]), np.float32)
    rows = rng.choice(np.flatnonzero((labels == label) | (label == "")), size)
    batch = [conditions[name][rows] for name in ("label", "attributes", "known")]
    sheet = np.concatenate(np.asarray(generate(weights, z, *batch))[:n], axis=1).squeeze()
    Image.fromarray(sheet).save(file := io.BytesIO(), "PNG", pnginfo=text)
    return Response(file.getvalue(), media_type="image/png")


[draw_images(n=size) for size in SIZES]  # each size is compiled before the first request
uvicorn.run(app, port=int(sys.argv[2]))
