"""Rules, presets, constraints, fingerprints, and differences between configs."""

import json

import pytest
from absl import flags

from configs import base
from prodgen.cli import commandline
from prodgen.config import (
    FIELDS,
    NEW_FIELD_DEFAULTS,
    compute_fingerprint,
    find_differences,
    flatten,
    load_config,
)
from prodgen.core.errors import UsageError
from prodgen.runs.workdir import check_config
from tests.tiny import ROOT, tiny


def test_every_default_is_allowed_and_every_field_has_a_help_text():
    for path, field in FIELDS.items():
        assert field.rule.allows(field.default), path
        assert field.help.endswith("."), path
    assert flatten(base.get_config()) == {path: field.default for path, field in FIELDS.items()}


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("trian.num_steps", "1", "did you mean config.train.num_steps"),
        ("train.num_stpes", "1", "did you mean config.train.num_steps"),
        ("train", "1", "is a section"),
        ("train.num_steps", "abc", "a whole number of at least 1"),
        ("train.num_steps", "0", "a whole number of at least 1"),
        ("train.num_steps", "1.5", "a whole number"),
        ("optim.lr", "nan", "a finite number from 0 to 10"),
        ("optim.lr", "inf", "a finite number"),
        ("optim.lr", "-1", "from 0 to 10"),
        ("data.resolution", "48", "16, 28, 32, 56, 64"),
        ("loss.likelihood", "sgima", "'sigma'"),
        ("train.tensorboard", "perhaps", "true or false"),
        ("parallel.mode", "pjit", "'jit', 'pmap'"),
    ],
)
def test_a_wrong_field_or_value_is_refused_with_the_allowed_values(path, text, message):
    with pytest.raises(UsageError, match="config." + path) as error:
        commandline.read_config(str(ROOT / "configs/vae.py"), [(path, text)])
    assert message in error.value.format_line()


def test_overrides_keep_their_types():
    config = commandline.read_config(
        str(ROOT / "configs/vae.py:quick"),
        [("optim.lr", "1"), ("train.tensorboard", "false"), ("data.cache_dir", "a:b=c")],
    )
    assert config.optim.lr == 1.0 and isinstance(config.optim.lr, float)
    assert config.train.tensorboard is False
    assert config.data.cache_dir == "a:b=c"
    assert config.data.size == 512  # the preset's


def test_the_config_is_locked():
    with pytest.raises((AttributeError, KeyError)):
        base.get_config().train.stpes = 3


def test_a_field_that_another_field_requires_is_demanded():
    with pytest.raises(UsageError, match="config.data.path"):
        commandline.read_config(str(ROOT / "configs/vae.py:folder"))
    with pytest.raises(UsageError, match="max_width"):
        tiny(model__width=64)


def test_the_fingerprint_ignores_only_fields_that_may_change():
    plain = compute_fingerprint(tiny())
    assert plain == compute_fingerprint(tiny(train__log_every=7, parallel__mode="pmap"))
    assert plain != compute_fingerprint(tiny(optim__lr=0.5))
    assert plain != compute_fingerprint(tiny(seed=1))
    assert plain != compute_fingerprint(tiny(data__path="elsewhere"))


OLD_FINGERPRINTS = {  # from before the field data.cutout existed
    "configs/vae.py": "ff11f9eb",
    "configs/vae.py:quick": "1273b564",
    "configs/gan.py": "c3f90fea",
}


@pytest.mark.parametrize(("config_file", "old_fingerprint"), OLD_FINGERPRINTS.items())
def test_a_new_field_at_its_default_does_not_change_the_fingerprint(config_file, old_fingerprint):
    config = commandline.read_config(str(ROOT / config_file))
    assert compute_fingerprint(config) == old_fingerprint
    assert compute_fingerprint(tiny(data__cutout="plain")) != compute_fingerprint(tiny())


def test_a_run_from_before_a_field_existed_opens_and_continues(tmp_path):
    older = tiny().to_dict()
    for path in NEW_FIELD_DEFAULTS:
        section, leaf = path.split(".")
        del older[section][leaf]
    (tmp_path / "config.json").write_text(json.dumps({"config": older}))
    # Their splits were by image; a catalogue run does not read the field.
    expected = tiny(data__split_by="image").to_dict()
    assert load_config(tmp_path / "config.json").to_dict() == expected
    assert find_differences(older, tiny()) == []
    check_config(tmp_path, tiny())
    with pytest.raises(UsageError, match="config.data.cutout: 'none' -> 'plain'"):
        check_config(tmp_path, tiny(data__cutout="plain"))
    del older["data"]["fit"]  # a field that every version has
    (tmp_path / "config.json").write_text(json.dumps({"config": older}))
    with pytest.raises(UsageError, match="lacks the field config.data.fit"):
        load_config(tmp_path / "config.json")


def test_the_path_of_the_cutout_model_is_not_in_the_fingerprint_and_is_required_for_neural():
    neural = {"data__cutout": "neural"}
    a, b = (tiny(**neural, data__cutout_model=name) for name in ("a.onnx", "b.onnx"))
    assert compute_fingerprint(a) == compute_fingerprint(b)
    with pytest.raises(UsageError, match="neural needs a model file"):
        tiny(**neural)


def test_num_steps_may_change_only_where_no_schedule_depends_on_it():
    longer = {"train__num_steps": 99}
    assert find_differences(tiny().to_dict(), tiny(**longer)) == ["config.train.num_steps: 6 -> 99"]
    constant = {"optim__schedule": "constant"}
    assert find_differences(tiny(**constant).to_dict(), tiny(**constant, **longer)) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss__adversarial": "wgan", "loss__penalty": "none"}, "needs a Lipschitz discriminator"),
        ({"loss__gamma": 0.0}, "without weight"),
        ({"augment__adaptive": True, "augment__policy": "product"}, "stays at most 0.8"),
        ({"model__name": "vaegan", "loss__gan_start": 6}, "after the last"),
        ({"model__group": 3}, "does not divide"),
        ({"model__name": "vaegan", "loss__perceptual": "lpips"}, "perceptual_path"),
    ],
)  # fmt: skip
def test_an_invalid_combination_of_fields_is_refused_with_its_reason(fields, message):
    with pytest.raises(UsageError, match=message) as error:
        tiny(**({"model__name": "r3gan"} | fields))
    assert error.value.next_step or "config." in error.value.message


# Config files, and overrides that their runs do not read.
UNREAD_FIELDS = {
    "configs/vae.py:quick": [
        ("loss.gamma", "5"), ("loss.adversarial", "hinge"), ("loss.penalty", "r1"),
        ("loss.components", "3"), ("loss.gan_start", "3"), ("loss.perceptual", "lpips"),
        ("augment.policy", "product"), ("augment.p", "0.5"), ("optim.d_lr_ratio", "2"),
        ("optim.burn_in", "0.5"), ("optim.lr_end", "0.5"), ("optim.weight_decay", "0.1"),
        ("train.d_steps", "2"), ("model.half", "true"), ("model.group", "16"),
        ("model.spectral_norm", "true"), ("data.path", "x"), ("data.downloads", "x"),
        ("data.image_column", "x"), ("data.cutout_model", "x"),
    ],
    "configs/gan.py:quick": [
        ("loss.likelihood", "mse"), ("loss.beta", "2"), ("loss.beta_schedule", "linear"),
        ("loss.free_bits", "1"), ("loss.label_smoothing", "0.1"), ("loss.gan_weight", "1"),
        ("augment.ramp", "true"), ("augment.target", "0.5"), ("augment.ada_images", "9"),
    ],
    "configs/dcgan.py:quick": [
        ("model.blocks", "2"), ("model.block_side", "8"), ("optim.lr_end", "0.1"),
        ("loss.perceptual_weight", "2"), ("data.name", "mnist"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", UNREAD_FIELDS)
def test_a_field_that_a_run_does_not_read_is_refused(name):
    for path, text in UNREAD_FIELDS[name]:
        with pytest.raises(UsageError, match=f"config.{path} is not read with config") as error:
            commandline.read_config(str(ROOT / name), [(path, text)])
        assert "it is read with" in error.value.message


def test_a_field_is_accepted_once_the_fields_that_it_depends_on_are_set():
    def read(*overrides):
        return commandline.read_config(str(ROOT / "configs/gan.py:quick"), overrides)

    config = read(("augment.adaptive", "true"), ("augment.policy", "product"),
                 ("augment.p", "0.1"), ("augment.target", "0.5"))  # fmt: skip
    assert config.augment.target == 0.5
    assert read(("optim.schedule", "constant")).optim.lr_end == 0.25  # the value of the file stays
    with pytest.raises(UsageError, match="model.condition_dropout is not read"):
        read(("model.condition", "false"), ("model.condition_dropout", "0.5"))
    with pytest.raises(UsageError, match="optim.b1 is not read"):
        read(("optim.name", "sgd"), ("optim.b1", "0.5"))


CONFIG_FILE = """from configs import base


def get_config(preset):
    config = base.get_config()
    {}
    return config
"""


def test_a_config_file_that_sets_an_unread_field_is_refused(tmp_path, capsys):
    path = tmp_path / "shop.py"
    path.write_text(CONFIG_FILE.format("config.optim.weight_decay = 0.1"))
    with pytest.raises(UsageError, match="config.optim.weight_decay of .*shop.py is not read"):
        commandline.read_config(str(path))
    assert commandline.read_config(str(path), [("optim.name", "adamw")]).optim.weight_decay == 0.1
    # A field that is unread because of an override gives a note, not an error.
    gan = commandline.read_config(str(ROOT / "configs/gan.py"), [("optim.schedule", "constant")])
    assert gan.optim.lr_end == 0.25
    assert "note: config.optim.lr_end=0.25 of" in capsys.readouterr().err
    path.write_text(CONFIG_FILE.format("config.augment.travel = 1"))
    with pytest.raises(UsageError, match="shop.py:6: ") as error:
        commandline.read_config(str(path))
    assert "config.augment.ada_images" in error.value.next_step


def test_a_text_may_be_empty_and_an_old_value_is_refused_with_its_new_name():
    def read(*overrides):
        return commandline.read_config(str(ROOT / "configs/vaegan.py:quick"), overrides)

    assert read(("parallel.require_platform", "")).parallel.require_platform == ""
    with pytest.raises(UsageError, match="'classifier', 'lpips'") as error:
        read(("loss.perceptual", "home"))
    assert "config.loss.perceptual=classifier" in error.value.next_step


def test_a_flagfile_is_checked_like_the_command_line(tmp_path):
    (tmp_path / "flags").write_text("--config.loss.gamma=5\n")
    for file, message in (("flags", "config.loss.gamma is not read"), ("none", "open")):
        argv = ["run_train.py", "--config=configs/vae.py", f"--flagfile={tmp_path / file}"]
        with pytest.raises(UsageError, match=message):
            commandline.parse_training(argv, flags.FlagValues(), "")


def test_an_old_run_with_an_unread_field_continues():
    """Version 0.1.0 accepted such fields."""
    older = tiny().to_dict()
    older["loss"]["gamma"] = 5.0
    assert find_differences(older, tiny()) == []
    adversarial = {"model__name": "r3gan"}
    older = tiny(**adversarial).to_dict()
    older["loss"]["gamma"] = 5.0
    assert find_differences(older, tiny(**adversarial)) == ["config.loss.gamma: 5.0 -> 1.0"]
