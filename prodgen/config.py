"""What a config may say: presets, the rule of every field, fingerprints, changes on resume.

Nothing here imports JAX: a mistake is answered in a fraction of a second. `configs/base.py` holds
the fields and their defaults, RULES below what each may be.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from prodgen import compatibility, tables
from prodgen.errors import UsageError

RESOLUTIONS = tuple(sorted(4 * 2**k for k in range(2, 7)) + [28, 56, 112, 224])


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one field may be: its type and either the choices or the closed range."""

    kind: type
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if self.kind in (bool, str):
            return {bool: "true or false", str: "text"}[self.kind]
        noun = "a whole number" if self.kind is int else "a finite number"
        if math.isinf(self.low) and math.isinf(self.high):
            return noun
        if math.isinf(self.high):
            return f"{noun} of at least {self.low:g}"
        return f"{noun} from {self.low:g} to {self.high:g}"

    def allows(self, value: Any) -> bool:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        right_type = {
            bool: isinstance(value, bool),
            str: isinstance(value, str),
            int: number and isinstance(value, int),
            float: number and math.isfinite(value),
        }[self.kind]
        if not right_type or (self.choices and value not in self.choices):
            return False
        return self.kind in (bool, str) or self.low <= value <= self.high


def _one_of(*choices: Any) -> Rule:
    return Rule(type(choices[0]), choices=choices)


_COUNT, _EVERY, _TEXT, _SWITCH = Rule(int, 1), Rule(int, 1), Rule(str), Rule(bool)
_SHARE = Rule(float, 0.0, 0.5)
RULES: dict[str, Rule] = {
    "seed": Rule(int, 0, 2**31 - 1),
    "data.source": _one_of(*tables.SOURCES),
    "data.path": _TEXT,
    "data.name": _TEXT,
    "data.resolution": _one_of(*sorted(RESOLUTIONS)),
    "data.channels": _one_of(0, 1, 3),
    "data.fit": _one_of("pad", "crop", "stretch"),
    "data.size": Rule(int, 16, 10_000_000),
    "data.seed": Rule(int, 0, 2**31 - 1),
    "data.downloads": _TEXT,
    "data.cache_dir": _TEXT,
    "data.image_column": _TEXT,
    "data.category_column": _TEXT,
    "data.validation": _SHARE,
    "data.test": _SHARE,
    "data.max_pixels": Rule(int, 256, 1_000_000_000),
    "data.cutout": _one_of("none", *tables.CUTOUTS),
    "data.cutout_model": _TEXT,
    "data.workers": Rule(int, 0, 256),
    "data.feed": _one_of("auto", *tables.FEEDS),
    "model.name": _one_of(*tables.MODELS),
    "model.width": Rule(int, 4, 1024),
    "model.max_width": Rule(int, 4, 2048),
    "model.blocks": Rule(int, 1, 16),
    "model.block_side": Rule(int, 4, 256),
    "model.latent": Rule(int, 1, 4096),
    "model.condition": _SWITCH,
    "model.condition_dropout": Rule(float, 0.0, 1.0),
    "model.dtype": _one_of("float32", "bfloat16"),
    "model.half": _SWITCH,
    "model.group": Rule(int, 0, 4096),
    "model.spectral_norm": _SWITCH,
    "loss.likelihood": _one_of(*tables.LIKELIHOODS),
    "loss.components": Rule(int, 1, 32),
    "loss.beta": Rule(float, 0.0, 1e6),
    "loss.beta_schedule": _one_of(*tables.BETA_SCHEDULES),
    "loss.beta_steps": _COUNT,
    "loss.free_bits": Rule(float, 0.0, 100.0),
    "loss.adversarial": _one_of(*tables.ADVERSARIAL),
    "loss.alpha": Rule(float, 1e-6, 1e6),
    "loss.label_smoothing": Rule(float, 0.0, 0.5),
    "loss.penalty": _one_of(*tables.PENALTIES),
    "loss.penalty_every": _COUNT,
    "loss.gamma": Rule(float, 0.0, 1e6),
    "loss.gamma_end": Rule(float, 0.0, 1.0),
    "loss.perceptual": _one_of("home", "lpips"),
    "loss.perceptual_path": _TEXT,
    "loss.perceptual_weight": Rule(float, 0.0, 1e3),
    "loss.gan_weight": Rule(float, 0.0, 1e3),
    "loss.gan_start": Rule(int, 0),
    "loss.gan_ramp": _COUNT,
    "augment.policy": _one_of(*tables.AUGMENTS),
    "augment.p": Rule(float, 0.0, 1.0),
    "augment.ramp": _SWITCH,
    "augment.flip": _SWITCH,
    "augment.adaptive": _SWITCH,
    "augment.target": Rule(float, -1.0, 1.0),
    "augment.travel": _COUNT,
    "optim.name": _one_of("adam", "adamw", "sgd"),
    "optim.lr": Rule(float, 0.0, 10.0),
    "optim.schedule": _one_of("constant", "cosine", "burn_in"),
    "optim.burn_in": Rule(float, 0.0, 1.0),
    "optim.d_lr_share": Rule(float, 1e-3, 100.0),
    "optim.lr_end": Rule(float, 0.0, 1.0),
    "optim.warmup_steps": Rule(int, 0),
    "optim.b1": Rule(float, 0.0, 0.9999),
    "optim.b2": Rule(float, 0.0, 0.999999),
    "optim.b2_end": Rule(float, 0.0, 0.999999),
    "optim.weight_decay": Rule(float, 0.0, 10.0),
    "optim.clip": Rule(float, 0.0, 1e9),
    "optim.ema_images": Rule(int, 0),
    "train.num_steps": _COUNT,
    "train.batch_size": Rule(int, 1, 65_536),
    "train.d_steps": Rule(int, 1, 10),
    "train.log_every": _EVERY,
    "train.sample_every": _EVERY,
    "train.sheet_columns": Rule(int, 2, 32),
    "train.evaluate_every": _EVERY,
    "train.checkpoint_every": _EVERY,
    "train.keep": Rule(int, 2, 1000),
    "train.keep_best": Rule(int, 1, 1000),
    "train.evaluate_examples": Rule(int, 0),
    "train.max_bad_steps": _COUNT,
    "train.tensorboard": _SWITCH,
    "parallel.mode": _one_of("jit", "pmap"),
    "parallel.devices": Rule(int, 0, 65_536),
    "parallel.require_platform": _one_of("", "cpu", "gpu", "tpu"),
    "parallel.deterministic": _SWITCH,
}

# What may differ when a run is continued: nothing here changes which numbers a step computes.
MAY_CHANGE = frozenset(
    {
        "data.downloads", "data.cache_dir", "data.workers", "data.feed", "data.path",
        "data.cutout_model",
        "train.log_every", "train.sample_every", "train.evaluate_every", "train.checkpoint_every",
        "train.sheet_columns", "train.keep", "train.keep_best", "train.evaluate_examples",
        "train.max_bad_steps", "train.tensorboard", "parallel.mode", "parallel.devices",
        "parallel.require_platform",
    }
)  # fmt: skip


# Fields that came after runs had been made without them. At these values, which do what was done
# before, they count as absent: an older config is filled up and keeps its fingerprint.
ADDED: dict[str, Any] = {"data.cutout": "none", "data.cutout_model": ""}


def preset(
    config: ConfigDict,
    presets: Mapping[str, Mapping[str, Any]],
    name: str,
    always: Mapping[str, Any] | None = None,
) -> ConfigDict:
    """`config` with the fields of `always` and of one preset set; "" is the default.

    A name that is not among the presets: UsageError.
    """
    for path, value in (always or {}).items():
        put(config, path, value)
    if name and name != "default":
        if name not in presets:
            known = tables.nearest(name, ["default", *presets])
            raise UsageError(f"the config has no preset {name!r}; {known}")
        for path, value in presets[name].items():
            put(config, path, value)
    return config


def flat(config: ConfigDict | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every field by its dotted path: {"train.num_steps": 3000, ...}."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, (ConfigDict, dict)):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def put(config: ConfigDict, path: str, value: Any) -> None:
    """Set one field by its dotted path; an unknown one or a value of the wrong kind: UsageError."""
    rule = _rule(path)
    if rule.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not rule.allows(value):
        raise UsageError(f"config.{path}={value!r} is not allowed: it must be {rule}")
    *parents, leaf = path.split(".")
    for parent in parents:
        config = config[parent]
    config[leaf] = value


def parse(path: str, text: str) -> Any:
    """The value that `text` on a command line means for the field `path`."""
    rule = _rule(path)
    try:
        if rule.kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return rule.kind(text)
    except (KeyError, ValueError):
        raise UsageError(f"config.{path}={text!r} is not allowed: it must be {rule}") from None


def _rule(path: str) -> Rule:
    if path in RULES:
        return RULES[path]
    inside = [name for name in RULES if name.startswith(path + ".")]
    if inside:
        raise UsageError(f"config.{path} is a section, not a field; it holds {', '.join(inside)}")
    raise UsageError(f"config.{path} is not a field of the config; {_closest(path)}")


def _closest(path: str) -> str:
    """The nearest known field: by the whole path, then by the leaf alone."""
    close = difflib.get_close_matches(path, RULES, n=1, cutoff=0.6)
    leaves = {name.split(".")[-1]: name for name in RULES}
    leaf = difflib.get_close_matches(path.split(".")[-1], leaves, n=1, cutoff=0.6)
    best = close or [leaves[name] for name in leaf]
    return f"did you mean config.{best[0]}?" if best else "configs/base.py lists the fields"


def validate(config: ConfigDict) -> ConfigDict:
    """Check every field against its rule and the fields against each other; UsageError if not."""
    values = flat(config)
    for path, value in values.items():
        rule = _rule(path)
        if not rule.allows(value):
            raise UsageError(f"config.{path}={value!r} is not allowed: it must be {rule}")
    missing = sorted(set(RULES) - set(values))
    if missing:
        raise UsageError(f"the config lacks the field config.{missing[0]}")
    compatibility.check(config)
    return config


def fingerprint(config: ConfigDict) -> str:
    """8 hex digits of what the run computes: all fields but those that may change on resume."""
    free = may_change(config) - {"data.path"}  # two folders are two runs, a moved folder is not
    fixed = {
        path: value
        for path, value in flat(config).items()
        if path not in free and not (path in ADDED and value == ADDED[path])
    }
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:8]


def may_change(config: ConfigDict) -> frozenset[str]:
    """The fields a continued run may change; its length only where nothing depends on it."""
    moves = config.optim.schedule != "constant" or config.optim.b2_end
    moves = moves or config.loss.gamma_end != 1 or config.augment.ramp
    free = MAY_CHANGE if moves else MAY_CHANGE | {"train.num_steps"}
    # A Frechet distance depends on how many pictures it is of, and chooses the best checkpoint.
    return free if config.model.name == "vae" else free - {"train.evaluate_examples"}


def differences(old: Mapping[str, Any], new: ConfigDict) -> list[str]:
    """What keeps a run with config `old` from being continued as `new`, one line a field."""
    before, after = ADDED | flat(old), flat(new)
    fixed = (set(before) | set(after)) - may_change(new)
    return [
        f"config.{path}: {before.get(path, 'absent')!r} -> {after.get(path, 'absent')!r}"
        for path in sorted(fixed)
        if before.get(path) != after.get(path)
    ]


def load(path: str | Path) -> ConfigDict:
    """The locked config of a run, from its config.json, with the fields of ADDED that it lacks.

    Any other field of RULES that it lacks: UsageError.
    """
    config = ConfigDict(json.loads(Path(path).read_text(encoding="utf-8"))["config"])
    for field, value in ADDED.items():
        if field not in flat(config):
            put(config, field, value)
    return validate(config.lock())
