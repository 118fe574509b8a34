"""Recolour photos and catalogue scenes, and draw them on a sheet that a person can judge.

python benchmarks/recolour.py --photos=my_photos/ --model=u2netp.onnx --out=recolour.png

--n photos of the folder, chosen by --seed, and as many catalogue products before a lit wall are
cut out and recoloured, each in the next of six colours. The sheet shows each photo beside its
recolouring, with a number and the doubt that the program states. Prints a line for each with the
colour that was changed, its share, and CIEDE2000 of the result to the target; then how many photos
and how many scenes are doubtful, by their colours and by the cut-out, the share of rejected ones,
and the median of CIEDE2000.
"""

import random
import statistics
import sys
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.apps.common.image_files import list_image_files
from prodgen.cli import commandline
from prodgen.core.errors import BadData
from prodgen.data.catalogue import render_product, sample_product
from prodgen.photo import colour_areas

FLAGS = flags.FLAGS
flags.DEFINE_string("photos", "", "A folder of photos; without it only the catalogue is used.")
flags.DEFINE_integer("n", 40, "Photos of the folder, and scenes of the catalogue, at most.")
flags.DEFINE_integer("seed", 0, "Of the choice.")
flags.DEFINE_string("cutout", "auto", "The method that cuts out.")
flags.DEFINE_string("model", "", "The file u2netp.onnx.")
flags.DEFINE_string("out", "recolour.png", "The sheet.")
COLOURS = ("teal", "#203a5f", "red", "yellow", "white", "black")
SIDE, COLUMNS, CAPTION = 150, 5, 14  # pixels of an image, pairs in a row, pixels below them
WALL_SIDE = 320


def make_scene(index: int) -> np.ndarray:
    """A product of the catalogue before a lit wall, uint8 [S, S, 3]."""
    product = render_product(sample_product(1, index), WALL_SIDE).astype(np.float64)
    alpha = product[..., 3:] / 255
    colour = (product[..., :3] - 255 * (1 - alpha)) / np.maximum(alpha, 0.05)
    ramp = np.linspace(0, 1, WALL_SIDE)
    light = 215 - 35 * (ramp[:, None] + ramp[None]) / 2
    wall = light[..., None] * (1, 0.985, 0.96)
    wall += np.random.default_rng(index).normal(0, 2, wall.shape)
    return np.uint8(np.rint(np.clip(np.clip(colour, 0, 255) * alpha + wall * (1 - alpha), 0, 255)))


def read_scenes() -> list[tuple[str, np.ndarray]]:
    """(name, image) of the photos, then of the catalogue's scenes."""
    scenes = []
    if FLAGS.photos:
        paths = sorted(list_image_files(Path(FLAGS.photos), "--photos"))
        for path in random.Random(FLAGS.seed).sample(paths, min(FLAGS.n, len(paths))):
            scenes.append((path.name, np.asarray(Image.open(path).convert("RGB"))))
    return scenes + [(f"catalogue {i}", make_scene(FLAGS.seed + i)) for i in range(FLAGS.n)]


def draw_pair(before: np.ndarray, after: np.ndarray | None, caption: str) -> Image.Image:
    """A photo beside its recolouring over a caption."""
    pair = Image.new("RGB", (2 * SIDE + 8, SIDE + CAPTION), "white")
    for i, image in enumerate((before, after)):
        if image is not None:
            thumbnail = Image.fromarray(image)
            thumbnail.thumbnail((SIDE, SIDE))
            pair.paste(thumbnail, (i * SIDE, 0))
    ImageDraw.Draw(pair).text((1, SIDE + 1), caption[:52], fill="black")
    return pair


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    pairs, differences, num_rejected = [], [], 0
    doubts_of = []  # (a photo or a scene, by its colours, by the cut-out)
    scenes = read_scenes()
    for number, (name, image) in enumerate(scenes):
        colour = COLOURS[number % len(COLOURS)]
        try:
            result = prodgen.recolour(image, colour, method=FLAGS.cutout, model=FLAGS.model)
        except BadData as error:
            num_rejected += 1
            print(f"{number:3} {name}: rejected: {error}", flush=True)
            pairs.append(draw_pair(image, None, f"{number} rejected"))
            continue
        doubt = "; ".join(result.doubts)
        by_colour = colour_areas.find_doubts((result.area, *result.others), 0, False)
        kind = "scenes" if name.startswith("catalogue ") else "photos"
        doubts_of.append((kind, bool(by_colour), len(result.doubts) > len(by_colour)))
        differences.append(result.ciede2000)
        print(
            f"{number:3} {name}: {colour_areas.format_area(result.area)} to {colour}, CIEDE2000 "
            f"{result.ciede2000:.1f}{'; DOUBTFUL: ' + doubt if doubt else ''}",
            flush=True,
        )
        pairs.append(draw_pair(image, result.image, f"{number} {colour} {doubt}"))
    rows = -(-len(pairs) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * pairs[0].width, rows * pairs[0].height), "white")
    for i, pair in enumerate(pairs):
        sheet.paste(pair, (i % COLUMNS * pair.width, i // COLUMNS * pair.height))
    sheet.save(FLAGS.out)
    count = len(scenes)
    for name in ("photos", "scenes"):
        rows = [doubts for kind, *doubts in doubts_of if kind == name]
        by_colour, by_cutout, any_doubt = (
            sum(map(bool, flags))
            for flags in ([r[0] for r in rows], [r[1] for r in rows], [max(r) for r in rows])
        )
        print(f"{name}: {any_doubt} of {len(rows)} doubtful, {by_colour} by their colours, "
              f"{by_cutout} by the cut-out")  # fmt: skip
    print(f"rejected {num_rejected / count:.1%}, median "
          f"CIEDE2000 {statistics.median(differences):.2f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
