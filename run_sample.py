"""Use a trained run: python run_sample.py --workdir=runs/fm --mode=grid --out=grid.png

Modes: grid, images, reconstruct, interpolate, traverse, directions, sweep, augment_preview,
evaluate, gate, cutout, compose, invert, vary, views, edit, batch, personalise. Each writes its
files and a manifest beside them; the same command gives the same bytes. --help lists the flags.
"""

import sys
from pathlib import Path

from absl import flags

from prodgen import commandline, options, tables, workdir
from prodgen.errors import UsageError

FLAGS = flags.FLAGS
options.define()
flags.adopt_module_key_flags(options)  # so that --help lists them


def main(argv: list[str]) -> None:
    commandline.parse_flags(argv)
    options.check(FLAGS.mode, {name for name in FLAGS if FLAGS[name].present})
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
