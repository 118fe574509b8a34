"""Measure one GPU or TPU chip in minutes: compile times, images per second, and a short training.

python benchmarks/accelerator.py [--out=FOLDER] [--minutes=8] [--images=FILE.npz] [--tiny]

Needs no TensorFlow, orbax, matplotlib or network. The sections run in order of importance, each
with an estimate of its seconds; one that does not fit the remaining minutes is skipped. FOLDER then
holds accelerator.json, written after each section, sheet.png and chart.png. The same command
continues: it measures what is not finished. Compiled programs are kept in FOLDER/cache.

The measuring runs in a process of its own. If a section takes much longer than its estimate, or the
process crashes, the section is given up and the next one gets a new process.

--images: uint8 [N, 128, 128, 3], which np.savez wrote, for all sections at 128 px; without it the
training's images are the embedded catalogue. The images of the other sections are synthetic.
--tiny: all sections with networks of a few thousand weights at 16 px, as on a CPU.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks._accelerator_plan import Options, select_sections
from benchmarks._accelerator_processes import measure_sections
from benchmarks._accelerator_record import Record, draw_chart, format_table
from prodgen.cli import commandline
from prodgen.core import pixels
from prodgen.core.errors import MissingInput, ProdgenError
from prodgen.core.files import write_atomically

FLAGS = flags.FLAGS
flags.DEFINE_string("out", "runs/accelerator", "The folder of the results.")
flags.DEFINE_float("minutes", 8.0, "Time for all sections of this call.", lower_bound=0.1)
flags.DEFINE_float("train_minutes", 3.0, "Time of the training, at most.", lower_bound=0.0)
flags.DEFINE_string("images", "", "A file of np.savez: uint8 [N, 128, 128, 3] to train on.")
flags.DEFINE_bool("tiny", False, "Tiny networks at 16 px: a test of the program.")
flags.DEFINE_list("sections", [], "Only the sections whose names begin with one of these.")

TINY_TRAIN_SECONDS = 1.0


def main(argv: list[str]) -> None:
    start = time.monotonic()
    commandline.parse_flags(argv)
    if FLAGS.images and not Path(FLAGS.images).is_file():
        raise MissingInput(f"--images={FLAGS.images} is not a file", "name a file of np.savez")
    sections = select_sections(FLAGS.sections)
    train_seconds = TINY_TRAIN_SECONDS if FLAGS.tiny else 60 * FLAGS.train_minutes
    images = str(Path(FLAGS.images).resolve()) if FLAGS.images else ""
    options = Options(Path(FLAGS.out).resolve(), images, FLAGS.tiny, train_seconds)
    record = Record(options.out, {"is_tiny": options.is_tiny, "images": options.images})
    try:
        measure_sections(sections, options, record, start + 60 * FLAGS.minutes)
    finally:
        if record.sections:
            chart = pixels.encode_png(draw_chart(record))
            write_atomically(options.out / "chart.png", chart)
            print(format_table(record, sections))
            print(f"{time.monotonic() - start:.0f} s; {record.file}")
    statuses = [record.sections[section.name]["status"] for section in sections]
    if failures := [s for s in statuses if s in ("failed", "stopped")]:
        raise ProdgenError(
            f"{len(failures)} of {len(sections)} sections failed", "give the same command again"
        )


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
