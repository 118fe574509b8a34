"""Is a recoloured product still that product? Retrieval among all held-back photos.

python benchmarks/identity.py --images=clothing-white/ --workdir=runs/vaegan-... --out=identity.png

Each photo of the run's test split is given another colour, drawn by --seed from the catalogue's
names, at each of --strengths: 0 is the photo, 1 the whole way to the colour. An edit is recognised
if, in the features of --extractor, the nearest of all original photos of the split is its own.
Prints JSON: for each method and strength the share recognised, with its 95 % interval, and the mean
CIEDE2000 to the colour asked for, before and after; --out draws photos above their edits.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen
from prodgen.apps.common import colours, listing
from prodgen.apps.common.offline_evaluation import load_extractors
from prodgen.cli import commandline
from prodgen.core import decode, pixels
from prodgen.core.errors import RejectedItem, UsageError
from prodgen.editing import edits
from prodgen.editing.edits import Edited, Shot
from prodgen.editing.inversion import Inverted, Inverter
from prodgen.metrics import interval, neighbours
from prodgen.model import Model
from prodgen.photo import background_removal

FLAGS = flags.FLAGS
flags.DEFINE_string("images", "", "The folder that the run's pictures lie in.")
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("extractor", "efficientnet_lite0", "Whose features tell products apart.")
flags.DEFINE_list("strengths", ["0.5", "1"], "How far towards the colour.")
flags.DEFINE_integer("n", 0, "Photos; 0 is the whole test split.", lower_bound=0)
flags.DEFINE_integer("seed", 0, "Of the colours.")
flags.DEFINE_string("out", "", "A sheet to draw, a PNG; none without.")
SHOWN, SIDE, PIXELS = 10, 256, 128


class Remembering(Inverter):
    """Inverts each picture once: every strength starts from the same."""

    def __call__(self, pictures: np.ndarray, *others: np.ndarray | None) -> Inverted:
        """As an Inverter, for pictures that it has not met."""
        key = pictures.tobytes()
        self._met = getattr(self, "_met", {})
        if key not in self._met:
            self._met[key] = super().__call__(pictures, *others)
        return self._met[key]


def held_back(run: Model, folder: Path) -> list[Shot]:
    """The photos of the test split, at their own resolution, cut out."""
    store, cutter = run.store(), background_removal.load_segmenter("plain")
    ids = store.evenly_spaced_ids("test", FLAGS.n) if FLAGS.n else store.ids("test")
    shots = []
    for name in store.names(ids):
        try:
            picture = decode.decode_file(folder / name, listing.MAX_PIXELS)
            shots.append(Shot.of(picture, cutter))
        except RejectedItem as reason:
            print(f"left out: {name}: {reason}", file=sys.stderr)
    return shots


def squares(pictures: list[np.ndarray], side: int = SIDE) -> np.ndarray:
    """Photos of any shape as uint8 [N, side, side, 3]."""
    shape, how = (side, side), Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(x).resize(shape, how)) for x in pictures])


def edited(
    shots: list[Shot], targets: list[str], inverter: Inverter, strength: float
) -> dict[str, list[Edited]]:
    """Each photo in its new colour, by both methods."""
    rgb = [colours.NAMED[name] for name in targets]
    both = zip(shots, rgb, strict=True)
    found = {"classical": [edits.classical(shot, to, strength) for shot, to in both]}
    try:
        found["generated"] = [
            edits.generated_colour(shot, inverter, to, colours.NAMED, strength)
            for shot, to in zip(shots, rgb, strict=True)
        ]
    except UsageError as error:
        print(f"classical only: {error}", file=sys.stderr)
    return found


def told(found: list[Edited], recognised: np.ndarray) -> dict[str, float | list[float]]:
    """The row of one method and strength."""
    right, n = int(recognised.sum()), len(recognised)
    means = {
        name: round(float(np.mean([one.numbers[name] for one in found])), 2)
        for name in ("ciede2000_before", "ciede2000", "outside_largest")
    }
    share = {"recognised": round(right / n, 4)}
    return share | {"interval": [round(x, 4) for x in interval.wilson_interval(right, n)]} | means


def drawn(shots: list[Shot], rows: dict[str, list[Edited]]) -> Image.Image:
    """Photos above their edits."""
    shown = np.linspace(0, len(shots) - 1, SHOWN).astype(int)
    cells = [[shots[i].photo for i in shown]]
    cells += [[found[i].picture for i in shown] for found in rows.values()]
    small = squares([cell for row in cells for cell in row], PIXELS)
    return pixels.draw_contact_sheet(small, SHOWN, row_names=("photo", *rows))


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.images or not FLAGS.workdir:
        raise UsageError("--images and --workdir are needed", "name the folder, and the run")
    run = prodgen.load(FLAGS.workdir)
    inverter = Remembering(run, run.reference_classifier(run.say), run.say)
    shots = held_back(run, Path(FLAGS.images))
    dice = np.random.default_rng(FLAGS.seed)
    targets = list(dice.choice(list(colours.NAMED), len(shots)))
    extractor = load_extractors((FLAGS.extractor,))[0][-1]
    gallery = extractor(squares([shot.photo for shot in shots]))
    result, rows = {"photos": len(shots), "extractor": FLAGS.extractor}, {}
    for strength in map(float, FLAGS.strengths):
        for method, found in edited(shots, targets, inverter, strength).items():
            nearest, _ = neighbours.find_nearest(
                extractor(squares([one.picture for one in found])), gallery
            )
            rows[f"{method} {strength:g}"] = found
            result[f"{method} {strength:g}"] = told(found, nearest == np.arange(len(shots)))
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        drawn(shots, rows).save(FLAGS.out)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
