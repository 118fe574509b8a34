"""The cards: metadata for the Hugging Face Hub, numbers of the run's files, nothing private."""

import json
import re
import shutil
from types import SimpleNamespace

import jax
import pytest
import yaml

from prodgen.core import rng, tensor_files
from prodgen.core.errors import UsageError
from prodgen.evaluation import fitness_record
from prodgen.evaluation.fitness import CategoryEvidence, Evidence, judge, to_json
from prodgen.export import data_card, model_card, weight_licences
from prodgen.export.markdown_text import build_table, format_number
from prodgen.metrics.features import ExtractorIdentity
from prodgen.metrics.measurement_spec import Measurement, MeasurementSpec
from prodgen.model import load
from prodgen.models import lpips
from prodgen.photo import neural
from prodgen.steps import vaegan
from tests import programs
from tests.tiny import tiny, write_run
from tests.tiny_gan import tiny_gan

PRIVATE = "/home/maria/Secret Shop"
METRICS = [
    {"step": 2, "val/elbo": -9.5, "val/psnr": 7.25},
    {"step": 4, "loss": 1.0},
    {"step": 4, "val/elbo": -3.5, "val/psnr": 12.25, "val/ssim": 0.125, "val/grad_norm_vae": 5.0},
]
TIMING = [
    {"step": 2, "images_per_s": 50.0},
    {"step": 4, "session": 0, "seconds/loop": 65.0, "devices": 1, "peak_host_mb": 900.0},
]
FILES = {
    name: {"sha256": "ab" * 32, "bytes": 1234}
    for name in ("model.safetensors", "generator.stablehlo", "pytorch_model.py", "samples.png")
}
HUB_MODEL_KEYS = {"license", "library_name", "pipeline_tag", "tags", "metrics", "model-index"}
HUB_DATASET_KEYS = {"license", "pretty_name", "size_categories", "task_categories", "tags"}
STEP = 4


def make_run(path, store, config):
    """A run's folder at step 4 with metrics, timing and a data report."""
    state = programs.initial_state(config, store.spec, rng.key(0, "init"))
    write_run(path, store, config, state, STEP)
    for name, records in (("metrics.jsonl", METRICS), ("timing.jsonl", TIMING)):
        (path / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    report = (store.path / "data_report.json").read_text()
    (path / "data_report.json").write_text(report)
    return path


def update_json(path, update):
    """Apply `update` to the content of a JSON file."""
    content = json.loads(path.read_text())
    update(content)
    path.write_text(json.dumps(content))


def read_card(text):
    """(metadata, body) of a card, split as huggingface_hub does."""
    match = re.match(r"^---\n(.*?)\n---\n(.*)$", text, re.S)
    return yaml.safe_load(match[1]), match[2]


def make_card(model, licence="", files=FILES):
    weights = weight_licences.list_weights(model, files, licence)
    return read_card(model_card.build_model_card(model, files, weights, licence))


@pytest.fixture(scope="module")
def run(tmp_path_factory, store):
    return make_run(tmp_path_factory.mktemp("cards") / "run", store, tiny())


@pytest.fixture
def fresh_run(tmp_path, run):
    """A copy of the run that a test may change."""
    return shutil.copytree(run, tmp_path / "run")


def write_evaluation(path, step=STEP):
    """An evaluation.json of one distance by EfficientNet-Lite0."""
    sha256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    identity = ExtractorIdentity("efficientnet_lite0", "0.1.0", sha256, "bicubic-aa-224")
    spec = MeasurementSpec("frechet", identity, "d", "test", 20, 20, 3, (("sets", 3),))
    number = Measurement(10.5, spec, 9.0, 12.0, 4.25, "runs/x at step 4", (), "20 images are few")
    fingerprint = json.loads((path / "config.json").read_text())["fingerprint"]
    subject = {"run": fingerprint, "step": step, "name": f"{PRIVATE}/run, step 4"}
    subject |= {"split": "test", "seed": 3, "sets": [20], "training": 60, "prior": "base"}
    from prodgen.apps.evaluate import encode_json

    evaluation = {
        "subject": subject,
        "classifier": {"sha256": "e1" * 32, "seed": 1, "data": "d"},
        "distances": {str(identity): {"frechet": number}},
        "condition_accuracy": {},
        "reconstruction": {},
        "memorisation": {"copies": 0.0},
    }
    (path / "evaluation.json").write_bytes(encode_json(evaluation))


def test_the_model_card_has_the_numbers_of_the_checkpoint_with_their_specs(run):
    model = load(run)
    metadata, body = make_card(model)
    assert set(metadata) >= HUB_MODEL_KEYS | {"datasets"}
    assert metadata["license"] == "apache-2.0" and metadata["pipeline_tag"] == "image-to-image"
    (index,) = metadata["model-index"]
    (result,) = index["results"]
    digest, counts = (model.run.record["data"][name] for name in ("digest", "counts"))
    assert result["task"]["type"] == metadata["pipeline_tag"]
    assert result["dataset"] == {
        "type": metadata["datasets"][0], "name": "The embedded catalogue of prodgen",
        "revision": digest, "split": "validation",
    }  # fmt: skip
    # The numbers of step 4, not those of step 2; no diagnostic of the training.
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {"elbo": -3.5, "psnr": 12.25, "ssim": 0.125}
    assert metadata["metrics"] == list(values)
    for metric in result["metrics"]:
        assert metric["args"]["samples"] == counts["validation"] and metric["args"]["seed"] == 0
        assert "step 4" in metric["args"]["weights"] and metric["args"]["extractor"] == "none"
    assert "12.25 dB" in body and "1:05" in body and "900 MB" in body and digest in body
    assert "was not measured" in body  # the fitness, and the test split
    assert "sha256sum -c SHA256SUMS" in body and "![" in body and "verify.py" not in body


@pytest.mark.slow
def test_the_code_of_the_card_runs_and_names_the_files_that_are_there(run, monkeypatch):
    _, body = make_card(load(run))
    blocks = re.findall(r"```python\n(.*?)```", body, re.S)
    assert len(blocks) == 4 and "onnx" not in body
    for block in blocks:
        compile(block, "card", "exec")
    monkeypatch.chdir(run)
    names: dict = {}
    exec(blocks[0], names)
    assert names["images"].shape == (16, 16, 16, 3) and names["images"].dtype == "uint8"
    # The arrays that other programs take are those that the generator takes.
    exec(blocks[1], names)
    conditions = {name: names[name] for name in ("label", "attributes", "known")}
    assert load(run).decode(names["z"], conditions).shape == (16, 16, 16, 3)


def test_the_fitness_is_given_category_by_category(fresh_run):
    evidence = Evidence(
        "vae", 16, 76, 20, True, True, True, psnr=21.0, explained_variance=0.9, sharpness=0.7,
        explained_edges=0.5, classifier_accuracy=0.9,
        categories=(CategoryEvidence("disc", 38, 0.75, 16, 1.0, 8), CategoryEvidence("square", 38)),
    )  # fmt: skip
    key = fitness_record._key(load(fresh_run).run)
    (fresh_run / "fitness.json").write_text(json.dumps(key | to_json(judge(evidence))))
    _, body = make_card(load(fresh_run))
    rows = {line.split(" | ")[0]: line for line in body.splitlines() if line.startswith("| ")}
    assert "| 38 | 12 of 16 | 8 of 8 |" in rows["| disc"] and "yes" in rows["| disc"]
    assert "| 38 | not measured | not measured |" in rows["| square"]


def test_an_evaluation_is_used_if_it_is_of_this_checkpoint(fresh_run):
    write_evaluation(fresh_run)
    model = load(fresh_run)
    metadata, body = make_card(model)
    result = metadata["model-index"][0]["results"][0]
    assert result["dataset"]["split"] == "test"
    frechet, copies = result["metrics"]
    assert frechet["value"] == 10.5 and copies["value"] == 0.0
    assert frechet["args"] | {
        "samples": 20, "real_images": 20, "extractor": "efficientnet_lite0", "seed": 3, "sets": 3,
        "interval_95": [9.0, 12.0], "real_baseline": 4.25, "prior": "base",
    } == frechet["args"]  # fmt: skip
    assert "20 images are few" in body and PRIVATE not in body
    licences = {w["name"]: w["licence"] for w in weight_licences.list_weights(model, ())}
    assert licences["EfficientNet-Lite0, ImageNet"] == "Apache-2.0"
    # Of another checkpoint, nothing of it is told.
    write_evaluation(fresh_run, step=2)
    metadata, body = make_card(load(fresh_run))
    splits = [r["dataset"]["split"] for r in metadata["model-index"][0]["results"]]
    assert splits == ["validation"] and "efficientnet" not in body.lower()


def test_no_card_says_where_private_images_are(fresh_run):
    def make_private(record):
        record["config"]["data"] |= {"source": "folder", "path": PRIVATE, "root": PRIVATE}
        record["config"]["data"] |= {"cutout": "neural", "cutout_model": f"{PRIVATE}/u2netp.onnx"}
        record["config"]["loss"]["perceptual_path"] = f"{PRIVATE}/alexnet.ckpt"
        record["init_from"] = {"fingerprint": "0123abcd", "step": 9, "summary": f"{PRIVATE}/donor"}

    def refuse(report):
        report |= {"title": "Secret Shop", "notes": [PRIVATE], "remarks": [PRIVATE]}
        kinds = {"too small": 2, f"{PRIVATE}/mug.png": 1}
        report["refused"] = {"total": 3, "kinds": kinds, "examples": [{"name": "mug.png"}]}

    update_json(fresh_run / "config.json", make_private)
    update_json(fresh_run / "data_report.json", refuse)
    model = load(fresh_run)
    metadata, body = make_card(model)
    data_metadata, data_body = read_card(data_card.build_data_card(model))
    for text in (json.dumps([metadata, data_metadata]), body, data_body):
        for secret in ("Secret", "maria", "mug.png", str(fresh_run), "/home", "/tmp"):
            assert secret not in text
    assert metadata["license"] == "other" and "datasets" not in metadata
    assert "must name it" in body and "--license=ID" in body
    assert data_metadata["license"] == "unknown" and "is unknown" in data_body
    assert "| too small | 2 |" in data_body and "| another reason | 1 |" in data_body
    # What took part beside the model: the cut-out network, and the donor with its fingerprint.
    rows = {row["name"]: row for row in weight_licences.list_weights(model, ())}
    assert rows["U2-Net-P"]["sha256"] == neural.SHA256
    assert rows["run 0123abcd"]["licence"] == "unknown" and rows["vae"]["licence"] == "other"


def test_the_licence_that_the_user_names_is_the_cards(run):
    model = load(run)
    for licence, fields in (
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("Shop-1.0", {"license": "other", "license_name": "shop-1.0"}),
    ):
        metadata, body = make_card(model, licence)
        assert {name: metadata[name] for name in fields} == fields
        assert f"the licence {licence}" in body
    with pytest.raises(UsageError, match="identifier"):
        weight_licences.choose_licence(model, "any licence\nlicense: mit")


def test_the_data_card_has_the_numbers_of_the_report(run):
    model = load(run)
    metadata, body = read_card(data_card.build_data_card(model))
    assert set(metadata) >= HUB_DATASET_KEYS and metadata["size_categories"] == ["n<1K"]
    report = json.loads((run / "data_report.json").read_text())
    for row in report["classes"]:
        numbers = " | ".join(str(row[name]) for name in ("total", "train", "validation", "test"))
        assert f"| {row['name']} | {numbers} |" in body
    colours = report["attributes"][0]["values"]
    assert ", ".join(f"{name}: {count}" for name, count in colours.items()) in body
    assert model.run.record["data"]["digest"] in body and "No image was refused" in body
    assert "no person" in body  # of the catalogue this is known


def test_without_files_nothing_is_invented(fresh_run):
    for name in ("metrics.jsonl", "timing.jsonl", "data_report.json"):
        (fresh_run / name).unlink()
    model = load(fresh_run)
    metadata, body = make_card(model, files={})
    assert "model-index" not in metadata and "metrics" not in metadata
    assert "The metrics of step 4 were not measured" in body
    assert "| time of the whole training (h:min:s) | not measured |" in body
    data_body = read_card(data_card.build_data_card(model))[1]
    assert data_body.count("not recorded") >= 5
    counts = model.run.record["data"]["counts"]
    assert f"| train | {counts['train']} |" in data_body


@pytest.mark.slow
def test_the_card_of_a_gan(tmp_path, store):
    model = load(make_run(tmp_path / "gan", store, tiny_gan()))
    metadata, body = make_card(model)
    assert (
        metadata["pipeline_tag"] == "unconditional-image-generation" and "gan" in metadata["tags"]
    )
    assert body.startswith("\n# R3GAN")
    rows = weight_licences.list_weights(model, FILES)
    assert [row["name"] for row in rows] == ["r3gan", "discriminator"]
    assert rows[0]["origin"].endswith("in model.safetensors")
    # The hash is that of the weights that generate, whatever their order.
    weights = jax.tree.map(lambda leaf: leaf, model.run.state.nets["g"].eval_params())
    flat = weight_licences.trees.flatten_with_paths(weights)
    reverse = dict(reversed(flat.items()))
    assert rows[0]["sha256"] == tensor_files.hash_tensors(reverse) != rows[1]["sha256"]


@pytest.mark.parametrize(
    "sha256, licence",
    [(lpips.ALEXNET_SHA256, "BSD-2-Clause"), ("00" * 32, "unknown"), ("", "unknown")],
)
def test_lpips_is_recognised_by_its_hash(run, sha256, licence):
    config = tiny(model__name="vaegan", loss__perceptual="lpips", loss__perceptual_path="absent")
    record = load(run).run.record | ({"lpips": {"sha256": sha256}} if sha256 else {})
    state = SimpleNamespace(nets={"vae": load(run).run.state.nets["vae"]})
    stub_run = SimpleNamespace(
        path=run, record=record, config=config, step=STEP, step_module=vaegan, state=state
    )
    model = SimpleNamespace(run=stub_run, config=config, encodes=True)
    row = next(r for r in weight_licences.list_weights(model, ()) if "LPIPS" in r["name"])
    assert (row["licence"], row["sha256"]) == (licence, sha256)


def test_names_of_the_data_cannot_break_a_table():
    table = build_table(("a", "b"), [("x|y <img src=z>", "*[link](u)*\n| c"), ("colour_r", "$1$")])
    lines = table.split("\n")
    assert len(lines) == 4 and "<" not in table and "colour_r" in table
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert "\\[link\\]" in table
    assert [format_number(x) for x in (None, 3.0, 12345.678, 0.000123456)] == [
        "not measured", "3", "12,350", "0.0001235"
    ]  # fmt: skip
