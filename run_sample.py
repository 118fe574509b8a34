"""Use a trained run: python run_sample.py --workdir=runs/fm --mode=grid --out=grid.png

Modes: grid, images, reconstruct, interpolate, traverse, directions, sweep, augment_preview,
evaluate, gate. Each writes its files and a manifest.json beside them; the same command gives the
same bytes.
"""

import sys
from pathlib import Path

from absl import flags

from prodgen import commandline, tables, workdir
from prodgen.errors import UsageError

FLAGS = flags.FLAGS
flags.DEFINE_string("workdir", "", "The run's folder.")
flags.DEFINE_string("mode", "grid", f"What to make: {', '.join(tables.MODES)}.")
flags.DEFINE_string(
    "out", "", "File (modes images, gate: folder) to write; default: in the run's folder."
)
flags.DEFINE_integer(
    "seed", 0, "Which samples: latents and conditions follow from it.", 0, 2**31 - 2
)
flags.DEFINE_integer("n", 0, "How many pictures or rows; 0 is the mode's default.", 0, 1_000_000)
flags.DEFINE_string("label", "", "The category wanted.")
flags.DEFINE_string(
    "attributes", "", "Attributes wanted, as in colour=red,azimuth=30; mode sweep: colour=*."
)
flags.DEFINE_float(
    "temperature", 1.0, "Scale of the latents, the truncation: lower is plainer.", 0.0, 10.0
)
flags.DEFINE_string("step", "best", "Checkpoint: best, latest or a step.")
flags.DEFINE_string(
    "input", "", "Modes reconstruct, augment_preview: picture or folder; default: the test split."
)
flags.DEFINE_list(
    "extractors", [], f"Mode evaluate: look with {', '.join(tables.EXTRACTORS)} too; or NAME=FILE."
)
flags.DEFINE_string("images", "", "Modes evaluate, gate: a folder of pictures from anywhere.")
flags.DEFINE_string(
    "reference", "", "Mode evaluate: judge --images by this folder, or config such as FILE.py:NAME."
)
flags.DEFINE_enum("profile", "white_main", tables.PROFILES, "Mode gate: what is asked of pictures.")
flags.DEFINE_bool("repair", False, "Mode gate: write what can be mended, mended, to --out.")
flags.DEFINE_integer(
    "frames", 12, "Pictures a row in interpolate, traverse, directions and sweep.", 2, 240
)


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    if FLAGS.mode not in tables.MODES:
        raise UsageError(
            f"--mode={FLAGS.mode} is not known; {tables.nearest(FLAGS.mode, tables.MODES)}"
        )
    if FLAGS.workdir:
        workdir.read(Path(FLAGS.workdir))
    elif FLAGS.mode not in tables.NEED_NO_RUN or not FLAGS.images:
        wanted = "--images" if FLAGS.mode in tables.NEED_NO_RUN else "a folder of run_train.py"
        raise UsageError("no --workdir was given", f"name {wanted}")
    from prodgen.apps import request  # loads JAX

    for path in request.run(request.asked(FLAGS.flag_values_dict())):
        print(path)


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv))
