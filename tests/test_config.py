"""Rules, presets, fingerprints, differences."""

import json

import pytest

from configs import base
from prodgen import config as configs
from prodgen import workdir
from prodgen.cli import commandline
from prodgen.errors import UsageError
from tests.tiny import ROOT, tiny


def test_every_field_has_a_rule_and_every_rule_a_field():
    assert set(configs.flatten(base.get_config())) == set(configs.RULES)


def test_every_field_of_the_base_config_carries_a_comment_or_a_telling_name():
    lines = (ROOT / "configs" / "base.py").read_text().splitlines()
    fields = [line for line in lines if line.startswith("    ") and " = " in line]
    bare = [line.split("=")[0].strip() for line in fields if "#" not in line and "Dict" not in line]
    plain = {"model.name", "optim.b1", "optim.b2", "train.num_steps", "train.log_every",
             "train.sample_every", "train.evaluate_every", "train.checkpoint_every"}  # fmt: skip
    assert set(bare) <= plain


@pytest.mark.parametrize(
    ("path", "text", "says"),
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
def test_a_wrong_field_or_value_is_named_with_what_is_allowed(path, text, says):
    with pytest.raises(UsageError, match="config." + path) as caught:
        commandline.read_config(str(ROOT / "configs/vae.py"), [(path, text)])
    assert says in caught.value.line()


def test_overrides_keep_their_types():
    config = commandline.read_config(
        str(ROOT / "configs/vae.py:quick"),
        [("optim.lr", "1"), ("train.tensorboard", "false"), ("data.path", "a:b=c")],
    )
    assert config.optim.lr == 1.0 and isinstance(config.optim.lr, float)
    assert config.train.tensorboard is False
    assert config.data.path == "a:b=c"
    assert config.data.size == 512  # the preset's


def test_the_config_is_locked():
    with pytest.raises((AttributeError, KeyError)):
        base.get_config().train.stpes = 3


def test_fields_that_need_each_other():
    with pytest.raises(UsageError, match="config.data.path"):
        commandline.read_config(str(ROOT / "configs/vae.py:folder"))
    with pytest.raises(UsageError, match="weight_decay"):
        tiny(optim__weight_decay=0.1)
    with pytest.raises(UsageError, match="max_width"):
        tiny(model__width=64)


def test_fingerprint_ignores_what_may_change_and_nothing_else():
    plain = configs.fingerprint(tiny())
    assert plain == configs.fingerprint(tiny(train__log_every=7, parallel__mode="pmap"))
    assert plain != configs.fingerprint(tiny(optim__lr=0.5))
    assert plain != configs.fingerprint(tiny(seed=1))
    assert plain != configs.fingerprint(tiny(data__path="elsewhere"))


OLDER = {  # fingerprints of before data.cutout existed: runs of then are still theirs
    "configs/vae.py": "ff11f9eb",
    "configs/vae.py:quick": "1273b564",
    "configs/gan.py": "c3f90fea",
}


@pytest.mark.parametrize(("chosen", "printed"), OLDER.items())
def test_a_field_that_came_later_changes_no_fingerprint_at_its_default(chosen, printed):
    config = commandline.read_config(str(ROOT / chosen))
    assert configs.fingerprint(config) == printed
    assert configs.fingerprint(tiny(data__cutout="plain")) != configs.fingerprint(tiny())


def test_a_run_of_before_a_field_existed_is_opened_and_continued(tmp_path):
    older = tiny().to_dict()
    for path in configs.ADDED:
        section, leaf = path.split(".")
        del older[section][leaf]
    (tmp_path / "config.json").write_text(json.dumps({"config": older}))
    assert configs.load(tmp_path / "config.json").to_dict() == tiny().to_dict()
    assert configs.differences(older, tiny()) == []
    workdir.check_config(tmp_path, tiny())
    with pytest.raises(UsageError, match="config.data.cutout: 'none' -> 'plain'"):
        workdir.check_config(tmp_path, tiny(data__cutout="plain"))
    del older["data"]["fit"]  # one that every run has had
    (tmp_path / "config.json").write_text(json.dumps({"config": older}))
    with pytest.raises(UsageError, match="lacks the field config.data.fit"):
        configs.load(tmp_path / "config.json")


def test_the_model_file_may_move_and_belongs_to_the_network_alone():
    neural = {"data__cutout": "neural"}
    a, b = (tiny(**neural, data__cutout_model=name) for name in ("a.onnx", "b.onnx"))
    assert configs.fingerprint(a) == configs.fingerprint(b)
    for wrong in (neural, {"data__cutout": "plain", "data__cutout_model": "a.onnx"}):
        with pytest.raises(UsageError, match="neural needs a model file"):
            tiny(**wrong)


def test_a_run_may_grow_longer_only_where_no_schedule_depends_on_its_length():
    grown = {"train__num_steps": 99}
    assert configs.differences(tiny().to_dict(), tiny(**grown)) == [
        "config.train.num_steps: 6 -> 99"
    ]
    constant = {"optim__schedule": "constant"}
    assert configs.differences(tiny(**constant).to_dict(), tiny(**constant, **grown)) == []


def test_split_takes_the_config_out_of_the_arguments():
    chosen, overrides, rest = commandline.split(
        ["p", "--config=a.py:q", "--workdir=w", "--config.a.b=1", "--config.c", "2", "-v"]
    )
    assert chosen == "a.py:q"
    assert overrides == [("a.b", "1"), ("c", "2")]
    assert rest == ["p", "--workdir=w", "-v"]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"loss__adversarial": "wgan", "loss__penalty": "none"}, "needs a Lipschitz discriminator"),
        ({"loss__adversarial": "wgan", "loss__penalty": "gradient", "loss__label_smoothing": 0.1},
         "knows no labels"),
        ({"loss__adversarial": "hinge", "loss__label_smoothing": 0.1}, "knows no labels"),
        ({"loss__gamma": 0.0}, "without weight"),
        ({"augment__adaptive": True}, "nothing to steer"),
        ({"augment__adaptive": True, "augment__policy": "product"}, "stays at most 0.8"),
        ({"augment__adaptive": True, "augment__policy": "product", "augment__ramp": True,
          "augment__p": 0.1}, "not both"),
        ({"augment__ramp": True}, "nothing to raise"),
        ({"optim__lr_end": 0.5}, "acts only with"),
        ({"model__name": "dcgan", "model__group": 16}, "act only with"),
        ({"model__name": "vaegan", "loss__gan_start": 6}, "after the last"),
        ({"model__group": 3}, "does not divide"),
        ({"model__name": "vaegan", "loss__perceptual": "lpips"}, "perceptual_path"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_a_game_is_refused_with_its_reason(fields, what):
    with pytest.raises(UsageError, match=what) as error:
        tiny(**({"model__name": "r3gan"} | fields))
    assert error.value.next or "config." in error.value.what


def test_an_autoencoder_does_not_care_about_the_fields_of_a_game():
    tiny(loss__adversarial="wgan", loss__gamma=0.0)


def test_a_run_whose_schedules_move_keeps_its_length():
    still = {"model__name": "r3gan", "optim__schedule": "constant"}
    assert "train.num_steps" in configs.may_change(tiny(**still))
    for field in ({"loss__gamma_end": 0.5}, {"optim__b2_end": 0.99},
                  {"augment__policy": "product", "augment__ramp": True}):  # fmt: skip
        assert "train.num_steps" not in configs.may_change(tiny(**still, **field))
