"""The model card of an exported folder: README.md with the metadata of the Hugging Face Hub.

All numbers are read from the run's own files. What no file has is "not measured".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prodgen.config import flatten
from prodgen.config.lookup import is_read
from prodgen.data.store import SPLITS
from prodgen.evaluation import fitness_record
from prodgen.evaluation.fitness import Fitness, describe
from prodgen.evaluation.run_summary import format_devices
from prodgen.export import card_metrics, card_usage, weight_licences
from prodgen.export.card_metrics import CardMetric
from prodgen.export.markdown_text import (
    NOT_MEASURED,
    build_front_matter,
    build_table,
    escape,
    format_number,
)
from prodgen.export.metrics_section import build_metrics_section
from prodgen.model import Model
from prodgen.report import fitness_card, run_page
from prodgen.report.clock import format_duration
from prodgen.runs.workdir import TIMING_FILE

FILE_NAME = "README.md"
FAMILIES = {  # name of the model -> (its title, what it is)
    "vae": ("VAE", "a variational autoencoder"),
    "vaegan": ("VAE-GAN", "a variational autoencoder that is trained against a discriminator, too"),
    "dcgan": ("DCGAN", "a generative adversarial network (DCGAN)"),
    "r3gan": ("R3GAN", "a generative adversarial network (R3GAN)"),
}
DATASETS = {  # data.source -> (identifier, name) in the metadata
    "catalogue": ("prodgen-catalogue", "The embedded catalogue of prodgen"),
    "folder": ("private-images", "Product images that are not published"),
    "table": ("private-images", "Product images that are not published"),
}
TASKS = {  # whether the family has an encoder -> (task of the Hub, its name)
    False: ("unconditional-image-generation", "Image generation"),
    True: ("image-to-image", "Image generation and reconstruction"),
}
RECIPE_SECTIONS = ("model", "loss", "augment", "optim", "train")  # of the config, no paths
MARKETPLACE_NOTE = (
    "Marketplaces require that generated images say so. Files that prodgen writes have the IPTC "
    "Digital Source Type `trainedAlgorithmicMedia`. Images that other programs make with this "
    "folder have no such statement: add it."
)


def build_model_card(
    model: Model,
    files: Mapping[str, Mapping[str, Any]],
    weights: Sequence[Mapping[str, str]],
    licence: str = "",
    fitness: Fitness | None = None,
) -> str:
    """README.md of an exported folder, as Markdown.

    files: the other files of the folder, name -> {"sha256", "bytes"}, as export.json has them.
    weights: of `weight_licences.list_weights`. licence: the identifier that the user gives, "" for
    none. fitness: of this checkpoint; None reads the run's fitness.json. UsageError for a licence
    that is no identifier.
    """
    fitness = fitness or fitness_record.load(model.run)
    metrics = card_metrics.read_metrics(model)
    sections = [
        build_front_matter(build_metadata(model, metrics, licence)),
        _describe_model(model, files),
        card_usage.build_loading_section(model, files),
        _describe_use(model, fitness),
        _describe_training(model),
        build_metrics_section(model, metrics),
        _describe_weights(weights),
        _describe_files(files),
        _describe_licence(model, licence),
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def build_metadata(model: Model, metrics: list[CardMetric], licence: str) -> dict[str, Any]:
    """The front matter of the model card; None for what does not apply."""
    config, record = model.config, model.run.record
    task, task_name = TASKS[model.encodes]
    dataset, dataset_name = describe_dataset(model)
    # Images that are not published have no identifier on the Hub.
    datasets = None if dataset == "private-images" else [dataset]
    conditional = ["conditional"] if model.config.model.condition else []
    family = ["vae"] if config.model.name == "vae" else ["gan"]
    name = f"prodgen-{config.model.name}-{record['fingerprint']}"
    index = card_metrics.build_model_index(
        name,
        {"type": dataset, "name": dataset_name, "revision": record["data"]["digest"]},
        {"type": task, "name": task_name},
        metrics,
    )
    tags = ["prodgen", *family, config.model.name, "image-generation", "product-images", "jax"]
    return {
        **weight_licences.describe_for_hub(weight_licences.choose_licence(model, licence)),
        "library_name": "prodgen",
        "pipeline_tag": task,
        "tags": list(dict.fromkeys([*tags, *conditional])),
        "datasets": datasets,
        "metrics": list(dict.fromkeys(metric.kind for metric in metrics)) or None,
        "model-index": index,
    }


def describe_dataset(model: Model) -> tuple[str, str]:
    """The identifier and the name of the data in the metadata, without a name of the user's."""
    data = model.config.data
    if data.source == "tfds":
        return data.name, f"{data.name} (TensorFlow Datasets)"
    return DATASETS[data.source]


def _describe_model(model: Model, files: Mapping[str, Any]) -> str:
    config, spec, run = model.config, model.spec, model.run
    name = config.model.name
    title, family = FAMILIES.get(name, (name, f"a model of the family {name}"))
    colours = "grey" if spec.channels == 1 else "RGB"
    side = f"{spec.resolution} x {spec.resolution}"
    encoder = "It also encodes images. " if model.encodes else ""
    lines = [
        f"# {title} of product images, {side} pixels",
        f"This is {family}. It makes {colours} images of {side} pixels from "
        f"{config.model.latent} random numbers. {encoder}{card_usage.describe_conditions(model)}",
        f"It is the run `{run.record['fingerprint']}` of prodgen at step {run.step:,}. "
        "[DATA_CARD.md](DATA_CARD.md) describes its training images.",
    ]
    if "samples.png" in files:
        lines.append("![New images of the model](samples.png)")
    return "\n\n".join(lines)


def _describe_use(model: Model, fitness: Fitness | None) -> str:
    """Intended use and limits: the run's fitness, for each use and each category."""
    parts = ["## Intended use and limits"]
    if model.config.data.source == "catalogue":
        parts.append(
            "The training images are rendered by the program. The model knows these products "
            "only. It serves to try the program, to test a pipeline and to compare methods."
        )
    else:
        parts.append(
            "The model makes images like its training images: drafts and thumbnails of products, "
            "and variations of them. It knows no product of another kind."
        )
    if fitness is None:
        parts.append(
            f"What the model is fit for was {NOT_MEASURED}. "
            "`model.measure_fitness()` of prodgen measures it where the training images are."
        )
    else:
        parts += _describe_fitness(fitness)
    parts.append(MARKETPLACE_NOTE)
    parts.append(
        "The model must not be used to show a product that does not exist as one that is for sale."
    )
    return "\n\n".join(parts)


def _describe_fitness(fitness: Fitness) -> list[str]:
    """The verdicts of the fitness as sentences and two tables."""
    evidence = fitness.evidence
    uses = [
        (fitness_card.USES[use], fitness_card.WORDS[verdict.level], verdict.reason)
        for use, verdict in fitness.uses.items()
    ]
    judge = "with the reference classifier, " if evidence.has_classifier else ""
    parts = [
        " ".join(escape(line) for line in describe(fitness)),
        f"The verdicts below were measured {judge}on {evidence.held_out_photos:,} held-out images.",
        build_table(("use", "fit", "why"), uses),
    ]
    if fitness.categories:
        rows = [
            (
                category.name,
                fitness_card.WORDS[fitness.categories[category.name].level],
                fitness.categories[category.name].reason,
                NOT_MEASURED if category.training_images is None else category.training_images,
                _format_share(category.sample_accuracy, category.samples),
                _format_share(category.photo_accuracy, category.photos),
            )
            for category in evidence.categories
        ]
        header = (
            "category", "fit", "why", "training images", "new images recognised",
            "held-out images recognised",
        )  # fmt: skip
        parts += ["### Category by category", build_table(header, rows)]
    return parts


def _format_share(share: float | None, count: int) -> str:
    return NOT_MEASURED if share is None or not count else f"{round(share * count)} of {count}"


def _describe_training(model: Model) -> str:
    """Data, steps, time, hardware, versions and the fields that the run reads."""
    run, config = model.run, model.config
    record, train = run.record, config.train
    counts = ", ".join(f"{record['data']['counts'][name]:,} {name}" for name in SPLITS)
    rows = [
        ("images", counts),
        ("step of these weights", f"{run.step:,} of {train.num_steps:,}"),
        ("batch size", f"{train.batch_size:,}"),
        ("seed", config.seed),
        *_describe_cost(model),
        ("versions", ", ".join(f"{name} {text}" for name, text in record["versions"].items())),
    ]
    donor = record.get("init_from")
    first = f"those of run {donor['fingerprint']}" if donor else "random"
    rows.insert(3, ("first weights", first))
    values = flatten(config)
    fields = [
        (name, value)
        for name, value in values.items()
        if name.startswith(tuple(f"{section}." for section in RECIPE_SECTIONS))
        and not name.endswith("_path")
        and is_read(name, values)
    ]
    recipe = build_table(("field of the config", "value"), fields)
    return "\n\n".join(
        [
            "## Training",
            build_table(("what", "value"), rows),
            f"<details><summary>All settings</summary>\n\n{recipe}\n\n</details>",
        ]
    )


def _describe_cost(model: Model) -> list[tuple[str, object]]:
    """The time and the hardware of the whole training, as its files record them."""
    timing = card_metrics.read_records(model.run.path / TIMING_FILE)
    sessions = run_page.list_session_totals(timing)
    seconds = sum(session.get("seconds/loop", 0.0) for session in sessions)
    rates = sorted(entry["images_per_s"] for entry in timing if "images_per_s" in entry)
    devices = [format_devices(entry) for entry in model.run.record.get("devices", [])]
    peak = max((session.get("peak_host_mb", 0.0) for session in sessions), default=0.0)
    return [
        (
            "time of the whole training (h:min:s)",
            format_duration(seconds) if seconds else NOT_MEASURED,
        ),
        ("devices", ", then ".join(devices) or NOT_MEASURED),
        (
            "training images per second, median",
            format_number(rates[len(rates) // 2] if rates else None),
        ),
        ("peak host memory", f"{peak:,.0f} MB" if peak else NOT_MEASURED),
    ]


def _describe_weights(weights: Sequence[Mapping[str, str]]) -> str:
    rows = [
        (w["name"], w["role"], w["licence"], w["origin"], w["sha256"] or "not recorded")
        for w in weights
    ]
    header = ("network", "role", "licence", "origin", "sha256")
    return "\n\n".join(["## Networks that took part", build_table(header, rows)])


def _describe_files(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The files with their checksums, and how to check them."""
    rows = [
        (name, f"{entry['bytes']:,}", entry["sha256"])
        for name, entry in sorted(files.items())
        if "sha256" in entry and "bytes" in entry
    ]
    commands = ["sha256sum -c SHA256SUMS  # no file has changed"]
    if "verify.py" in files:
        commands.append("python verify.py         # each format gives the images of the run")
    parts = ["## Checksums", "```sh\n" + "\n".join(commands) + "\n```"]
    if rows:
        parts.append(build_table(("file", "bytes", "sha256"), rows))
    return "\n\n".join(parts)


def _describe_licence(model: Model, licence: str) -> str:
    own_licence = weight_licences.choose_licence(model, licence)
    parts = ["## Licence"]
    if own_licence != weight_licences.UNNAMED_LICENCE:
        parts.append(f"The weights of this model have the licence {escape(own_licence)}.")
        if not licence:
            parts.append("Its training images are rendered by prodgen, under the same licence.")
    else:
        reason = "was trained on images of the user"
        if model.config.data.source == "catalogue":
            reason = "began with the weights of another run"
        parts.append(
            f"The licence of this model is not named, since it {reason}. Whoever publishes the "
            "model must name it: `run_sample.py --mode=export --license=ID`, with an identifier "
            "of spdx.org/licenses."
        )
    return "\n\n".join(parts)
