"""How well, and how fast, are products cut out?

python benchmarks/cutout.py --model=u2netp.onnx --backgrounds=my_photos/

Products of the catalogue, whose masks are known, in three scenes, as JPEG of quality 90: on white
with their own shadow, on a grey wall whose light falls off, and pasted on a corner of photos of
--backgrounds, where a photo's own product rarely reaches. Prints the mean intersection over union
with the true mask, the share of pictures above 0.9, and that of pictures with a finding; then the
seconds of a core for one picture at several sizes. Methods that lack their package or file are
left out.
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

from prodgen.apps.common.listing import files
from prodgen.cli import commandline
from prodgen.config import registry
from prodgen.core.errors import MissingInput, RejectedItem
from prodgen.data.catalogue import render_product, sample_product
from prodgen.photo import background_removal
from prodgen.photo.mask_estimate import Segmenter

FLAGS = flags.FLAGS
flags.DEFINE_integer("n", 32, "Products.")
flags.DEFINE_integer("side", 256, "Pixels a side of their pictures.")
flags.DEFINE_string("model", "", "u2netp.onnx; without it neural is left out.")
flags.DEFINE_string("backgrounds", "", "A folder of photos; without it that scene is left out.")
flags.DEFINE_list("sizes", ["512", "1024", "2048", "4000"], "Pixels a side that are timed.")
Scene = tuple[np.ndarray, np.ndarray]  # a picture uint8 [S, S, 3] and its mask bool [S, S]


def methods(model: str) -> dict[str, Segmenter]:
    """Those that are installed."""
    found = {}
    for name in registry.CUTOUTS:
        try:
            found[name] = background_removal.load_segmenter(name, model)
        except MissingInput as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def jpeg(picture: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(np.clip(picture, 0, 255)))).save(file, "JPEG", quality=90)
    return np.asarray(Image.open(file))


def over(made: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """The product of a packshot [S, S, 4] on another background [S, S, 3]."""
    share = made[..., 3:] / 255
    clear = np.where(share > 0, (made[..., :3] - 255 * (1 - share)) / np.maximum(share, 0.05), 0)
    return jpeg(np.clip(clear, 0, 255) * share + ground * (1 - share))


def grounds(side: int, folder: str) -> dict[str, list[np.ndarray]]:
    """Backgrounds [S, S, 3] of each scene that has some."""
    ramp = np.linspace(0, 1, side)
    light = 205 - 45 * (ramp[:, None] + ramp[None]) / 2
    wall = light[..., None] * (1, 0.98, 0.95)
    grain = np.random.default_rng(0).normal(0, 2, wall.shape)
    found = {"wall": [wall + grain]}
    if folder:
        paths = files(Path(folder), "--backgrounds")[:16]
        found["clutter"] = [
            np.asarray(corner(Image.open(path).convert("RGB")).resize((side, side)))
            for path in paths
        ]
    return found


def corner(photo: Image.Image) -> Image.Image:
    """Its lower left part, 40 % of the shorter side."""
    side = 2 * min(photo.size) // 5
    return photo.crop((0, photo.height - side, side, photo.height))


def scenes(n: int, side: int, folder: str) -> Iterator[tuple[str, Scene]]:
    """Every product in every scene."""
    around = grounds(side, folder)
    for i in range(n):
        made = render_product(sample_product(0, i), side)
        mask = made[..., 3] > 127
        yield "white, with shadow", (jpeg(made[..., :3]), mask)
        for name, some in around.items():
            yield name, (over(made, some[i % len(some)]), mask)


def quality(scene: Scene, cutter: Segmenter) -> tuple[float, bool]:
    """Intersection over union, and whether something was found to look at."""
    picture, mask = scene
    try:
        cut = background_removal.cut_out(picture, cutter)
    except RejectedItem:
        return 0.0, True
    seen = cut.alpha > 127
    return float((seen & mask).sum() / (seen | mask).sum()), bool(cut.quality.findings)


def seconds(side: int, cutter: Segmenter) -> float:
    """Of one core, the median of three, for a product on a wall: every method uses just one."""
    made = np.asarray(
        Image.fromarray(render_product(sample_product(0, 8), 256)).resize((side, side))
    )
    picture = over(made, grounds(side, "")["wall"][0])
    times = []
    for _ in range(3):
        begun = time.process_time()
        background_removal.cut_out(picture, cutter)
        times.append(time.process_time() - begun)
    return statistics.median(times)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    ways = methods(FLAGS.model)
    found: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for name, scene in scenes(FLAGS.n, FLAGS.side, FLAGS.backgrounds):
        for way, cutter in ways.items():
            found.setdefault((name, way), []).append(quality(scene, cutter))
    print("| scene | method | IoU | above 0.9 | with a finding |\n|---|---|---|---|---|")
    for (name, way), results in found.items():
        scores, noted = np.array(results).T
        shares = f"{(scores > 0.9).mean():.0%} | {noted.mean():.0%}"
        print(f"| {name} | {way} | {scores.mean():.3f} | {shares} |")
    sizes = [int(size) for size in FLAGS.sizes]
    print(f"\n| seconds of a core | {' | '.join(f'{s} px' for s in sizes)} |")
    print("|---" * (1 + len(sizes)) + "|")
    for way, cutter in ways.items():
        times = (f"{seconds(side, cutter):.2f}" for side in sizes)
        print(f"| {way} | {' | '.join(times)} |", flush=True)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
