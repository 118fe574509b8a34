"""Test whether a recoloured product is still recognised, by retrieval among held-out photos.

python benchmarks/identity.py --images=clothing-white/ --workdir=runs/vaegan-... --out=identity.png

Each photo of the run's test split gets another colour, sampled with --seed from the catalogue's
colours, at each of --strengths: 0 is the photo, 1 the full change to the colour. An edit is
recognised if its nearest neighbour among all original photos, in the features of --extractor, is
its own photo. Prints JSON for each method and strength: the share of recognised edits with its 95 %
interval, and the mean CIEDE2000 to the target colour before and after. --out draws photos above
their edits.
"""

import json
import sys
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

import prodgen.model
from prodgen.apps.common import image_files, named_colours
from prodgen.apps.common.extractors import load_extractors
from prodgen.cli import commandline
from prodgen.core import decode, pixels
from prodgen.core.errors import RejectedItem, UsageError
from prodgen.editing import photo_edits
from prodgen.editing.inversion import InversionResult, Inverter
from prodgen.editing.photo_edits import EditedPhoto, ProductPhoto
from prodgen.metrics import interval, neighbours
from prodgen.model import Model
from prodgen.photo import background_removal

FLAGS = flags.FLAGS
flags.DEFINE_string("images", "", "The folder of the run's images.")
flags.DEFINE_string("workdir", "", "The run.")
flags.DEFINE_string("extractor", "efficientnet_lite0", "The feature extractor of the retrieval.")
flags.DEFINE_list("strengths", ["0.5", "1"], "Strengths of the colour change, 0 to 1.")
flags.DEFINE_integer("n", 0, "Photos; 0: the whole test split.", lower_bound=0)
flags.DEFINE_integer("seed", 0, "Seed of the colours.")
flags.DEFINE_string("out", "", "The PNG file of a contact sheet; optional.")
SHEET_COLUMNS, EXTRACTOR_SIDE_PX, SHEET_SIDE_PX = 10, 256, 128


class CachedInverter(Inverter):
    """Inverts each photo once, so that all strengths start from the same latent."""

    def __call__(self, images: np.ndarray, *others: np.ndarray | None) -> InversionResult:
        """The same as Inverter, with a cache."""
        key = images.tobytes()
        self._results = getattr(self, "_results", {})
        if key not in self._results:
            self._results[key] = super().__call__(images, *others)
        return self._results[key]


def load_test_photos(run: Model, folder: Path) -> list[ProductPhoto]:
    """The photos of the test split at their own resolution, with their masks."""
    store, cutter = run.store(), background_removal.load_segmenter("plain")
    ids = store.evenly_spaced_ids("test", FLAGS.n) if FLAGS.n else store.ids("test")
    photos = []
    for name in store.names(ids):
        try:
            image = decode.decode_file(folder / name, image_files.MAX_PIXELS)
            photos.append(ProductPhoto.from_image(image, cutter))
        except RejectedItem as reason:
            print(f"left out: {name}: {reason}", file=sys.stderr)
    return photos


def resize_to_square(images: list[np.ndarray], side: int = EXTRACTOR_SIDE_PX) -> np.ndarray:
    """Images of any shape, resized to uint8 [N, side, side, 3]."""
    size, filter = (side, side), Image.Resampling.LANCZOS
    return np.stack([np.asarray(Image.fromarray(x).resize(size, filter)) for x in images])


def recolour_all(
    photos: list[ProductPhoto], targets: list[str], inverter: Inverter, strength: float
) -> dict[str, list[EditedPhoto]]:
    """Every photo in its target colour, by method."""
    rgb = [named_colours.PRODUCT_COLOURS[name] for name in targets]
    pairs = list(zip(photos, rgb, strict=True))
    edits = {"classical": [photo_edits.recolour_photo(photo, to, strength) for photo, to in pairs]}
    try:
        edits["generated"] = [
            photo_edits.recolour_with_model(
                photo, inverter, to, named_colours.PRODUCT_COLOURS, strength
            )
            for photo, to in pairs
        ]
    except UsageError as error:
        print(f"classical only: {error}", file=sys.stderr)
    return edits


def summarise(
    edits: list[EditedPhoto], is_recognised: np.ndarray
) -> dict[str, float | list[float]]:
    """The results of one method and strength."""
    num_recognised, n = int(is_recognised.sum()), len(is_recognised)
    means = {
        name: round(float(np.mean([edit.metrics[name] for edit in edits])), 2)
        for name in ("ciede2000_before", "ciede2000", "outside_largest")
    }
    share = {"recognised": round(num_recognised / n, 4)}
    return (
        share
        | {"interval": [round(x, 4) for x in interval.wilson_interval(num_recognised, n)]}
        | means
    )


def draw_sheet(photos: list[ProductPhoto], rows: dict[str, list[EditedPhoto]]) -> Image.Image:
    """Photos above their edits, a row for each method and strength."""
    columns = np.linspace(0, len(photos) - 1, SHEET_COLUMNS).astype(int)
    cells = [[photos[i].photo for i in columns]]
    cells += [[edits[i].image for i in columns] for edits in rows.values()]
    small = resize_to_square([cell for row in cells for cell in row], SHEET_SIDE_PX)
    return pixels.draw_contact_sheet(small, SHEET_COLUMNS, row_names=("photo", *rows))


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if not FLAGS.images or not FLAGS.workdir:
        raise UsageError("--images and --workdir are needed", "name the folder, and the run")
    run = prodgen.model.load(FLAGS.workdir)
    inverter = CachedInverter(run, run.reference_classifier(run.say), run.say)
    photos = load_test_photos(run, Path(FLAGS.images))
    rng = np.random.default_rng(FLAGS.seed)
    targets = list(rng.choice(list(named_colours.PRODUCT_COLOURS), len(photos)))
    extractor = load_extractors((FLAGS.extractor,))[0][-1]
    gallery = extractor(resize_to_square([photo.photo for photo in photos]))
    result, rows = {"photos": len(photos), "extractor": FLAGS.extractor}, {}
    for strength in map(float, FLAGS.strengths):
        for method, edits in recolour_all(photos, targets, inverter, strength).items():
            nearest, _ = neighbours.find_nearest(
                extractor(resize_to_square([edit.image for edit in edits])), gallery
            )
            rows[f"{method} {strength:g}"] = edits
            result[f"{method} {strength:g}"] = summarise(edits, nearest == np.arange(len(photos)))
    print(json.dumps(result, indent=1))
    if FLAGS.out:
        draw_sheet(photos, rows).save(FLAGS.out)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
