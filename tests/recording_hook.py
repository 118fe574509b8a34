"""A hook of config.train.hook that keeps what it receives beside the run, and fails halfway."""

import json

LAST_STEP = 7  # of the records that it receives


def start(workdir, config):
    """The function that receives the records of a run."""
    file = workdir.with_name("hook.jsonl")

    def write(step, values):
        if step > LAST_STEP:
            raise ConnectionError("no network")
        with open(file, "a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **values}) + "\n")

    return write
