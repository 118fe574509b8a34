"""Measure the quality and speed of the cutout methods.

python benchmarks/cutout.py --model=u2netp.onnx --backgrounds=my_photos/

The images show products of the catalogue, whose masks are known, as JPEG of quality 90. There are
three scenes: on white with a shadow, on a grey wall with uneven light, and pasted on a corner of
photos of --backgrounds, which rarely shows the photo's own product. Prints the mean intersection
over union (IoU) with the true mask, the share of images with IoU above 0.9, and the share of images
with a finding. Then prints the seconds of one core per image at several sizes. Methods without
their package or file are left out.
"""

import io
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from prodgen.apps.common.image_files import list_image_files
from prodgen.cli import commandline
from prodgen.config import registry
from prodgen.core.errors import MissingInput, RejectedItem
from prodgen.data.catalogue import render_product, sample_product
from prodgen.photo import background_removal
from prodgen.photo.mask_estimate import Segmenter

FLAGS = flags.FLAGS
flags.DEFINE_integer("n", 32, "Products.")
flags.DEFINE_integer("side", 256, "Pixels per side of the images.")
flags.DEFINE_string("model", "", "The file u2netp.onnx; without it the method neural is left out.")
flags.DEFINE_string("backgrounds", "", "A folder of photos; without it this scene is left out.")
flags.DEFINE_list("sizes", ["512", "1024", "2048", "4000"], "Pixels per side for the timing.")
Scene = tuple[np.ndarray, np.ndarray]  # an image uint8 [S, S, 3] and its true mask bool [S, S]


def load_cutters(model: str) -> dict[str, Segmenter]:
    """The cutout methods whose package and file are installed."""
    cutters = {}
    for name in registry.CUTOUTS:
        try:
            cutters[name] = background_removal.load_segmenter(name, model)
        except MissingInput as error:
            print(f"left out: {error}", file=sys.stderr)
    return cutters


def compress_as_jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(np.clip(image, 0, 255)))).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def replace_background(packshot: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The product of a packshot [S, S, 4] on another background [S, S, 3]."""
    alpha = packshot[..., 3:] / 255
    # Undo the blending with white to get the product's own colour.
    product = (packshot[..., :3] - 255 * (1 - alpha)) / np.maximum(alpha, 0.05)
    product = np.clip(np.where(alpha > 0, product, 0), 0, 255)
    return compress_as_jpeg(product * alpha + background * (1 - alpha))


def make_backgrounds(side: int, folder: str) -> dict[str, list[np.ndarray]]:
    """The backgrounds [S, S, 3] of each scene: the wall, and the clutter of photos in `folder`."""
    ramp = np.linspace(0, 1, side)
    light = 205 - 45 * (ramp[:, None] + ramp[None]) / 2
    wall = light[..., None] * (1, 0.98, 0.95)
    grain = np.random.default_rng(0).normal(0, 2, wall.shape)
    backgrounds = {"wall": [wall + grain]}
    if folder:
        paths = list_image_files(Path(folder), "--backgrounds")[:16]
        backgrounds["clutter"] = [
            np.asarray(crop_corner(Image.open(path).convert("RGB")).resize((side, side)))
            for path in paths
        ]
    return backgrounds


def crop_corner(photo: Image.Image) -> Image.Image:
    """The lower left corner of a photo, 40 % of its shorter side."""
    side = 2 * min(photo.size) // 5
    return photo.crop((0, photo.height - side, side, photo.height))


def generate_scenes(n: int, side: int, folder: str) -> Iterator[tuple[str, Scene]]:
    """(name of the scene, scene) for every product in every scene."""
    backgrounds = make_backgrounds(side, folder)
    for i in range(n):
        packshot = render_product(sample_product(0, i), side)
        mask = packshot[..., 3] > 127
        yield "white, with shadow", (compress_as_jpeg(packshot[..., :3]), mask)
        for name, choices in backgrounds.items():
            yield name, (replace_background(packshot, choices[i % len(choices)]), mask)


def measure_quality(scene: Scene, cutter: Segmenter) -> tuple[float, bool]:
    """Intersection over union, and whether the cutout reports a finding."""
    image, mask = scene
    try:
        result = background_removal.cut_out(image, cutter)
    except RejectedItem:
        return 0.0, True
    predicted_mask = result.alpha > 127
    iou = (predicted_mask & mask).sum() / (predicted_mask | mask).sum()
    return float(iou), bool(result.quality.findings)


def measure_seconds(side: int, cutter: Segmenter) -> float:
    """The median of three timings, seconds of one core, for a product before a wall.

    Every method uses one core.
    """
    packshot = np.asarray(
        Image.fromarray(render_product(sample_product(0, 8), 256)).resize((side, side))
    )
    image = replace_background(packshot, make_backgrounds(side, "")["wall"][0])
    times = []
    for _ in range(3):
        start = time.process_time()
        background_removal.cut_out(image, cutter)
        times.append(time.process_time() - start)
    return statistics.median(times)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    cutters = load_cutters(FLAGS.model)
    results: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for name, scene in generate_scenes(FLAGS.n, FLAGS.side, FLAGS.backgrounds):
        for method, cutter in cutters.items():
            results.setdefault((name, method), []).append(measure_quality(scene, cutter))
    print("| scene | method | IoU | above 0.9 | with a finding |\n|---|---|---|---|---|")
    for (name, method), pairs in results.items():
        ious, has_finding = np.array(pairs).T
        shares = f"{(ious > 0.9).mean():.0%} | {has_finding.mean():.0%}"
        print(f"| {name} | {method} | {ious.mean():.3f} | {shares} |")
    sizes = [int(size) for size in FLAGS.sizes]
    print(f"\n| seconds of a core | {' | '.join(f'{s} px' for s in sizes)} |")
    print("|---" * (1 + len(sizes)) + "|")
    for method, cutter in cutters.items():
        times = (f"{measure_seconds(side, cutter):.2f}" for side in sizes)
        print(f"| {method} | {' | '.join(times)} |", flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
