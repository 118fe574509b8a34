"""Every flag, field and file that an error names exists in each program that can raise it."""

import ast
import functools
import importlib
import re

from prodgen.cli import commandline, modes
from prodgen.cli.options import list_options
from prodgen.config import FIELDS, registry
from prodgen.core import errors
from prodgen.experiments.__main__ import COMMANDS
from prodgen.launch import __main__ as launch
from prodgen.programs import training
from tests import call_chain
from tests.call_chain import imported_names
from tests.tiny import ROOT

MODE_MODULES = set(registry.MODES.values())
SAMPLING = ("prodgen.apps.common.output.", "prodgen.cli.modes.")  # code of run_sample.py itself
SHARED_PACKAGES = ("data", "photo")  # run_sample.py and run_train.py reach them
ERRORS = {
    name
    for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, errors.ProdgenError)
} | {"from_os_error"}
GAP = "{}"  # stands for a value in a text
FLAG = re.compile(r"--([a-z_]+(?:\.[a-z_0-9]+)*)")
FIELD = re.compile(r"\bconfig\.(?!json|py)((?:\w+\.)*\w+)")
PATH = re.compile(r"\b(?:docs|configs|benchmarks)/[\w/]+\.\w+|README\.md|requirements\.txt")
# A flag belongs to the last program that the text names before it.
PROGRAM = re.compile(
    r"(run_train)\.py|(run_sample)\.py(?: --mode=(\w+))?|(pip) |^{}(?= --help)"
    r"|(?:-m prodgen\.experiments|`)(?: )?(plan|run|status|report|verify|{})(?= )"
)
TRAINING_FLAGS = {"config", "help"} | set(training.define_flags())
SAMPLING_FLAGS = {"help", *modes.GENERAL_FLAGS}


def texts_of(node, constants):
    """The texts in a piece of code, each value in them a GAP; module constants are looked up."""
    nodes = ast.iter_child_nodes(node)
    if isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
        nodes = (part.value for part in node.values if isinstance(part, ast.FormattedValue))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in constants:
        nodes = [constants[node.id]]
    for child in nodes:
        yield from texts_of(child, constants)


def is_error(node):
    """Whether code makes a ProdgenError, or sets its advice."""
    if isinstance(node, ast.Call):
        return getattr(node.func, "attr", getattr(node.func, "id", "")) in ERRORS
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(getattr(target, "attr", "") == "next_step" for target in targets)


def error_nodes(function):
    """Where a function makes errors, and the variables that they are made from."""
    nodes = [node for node in ast.walk(function) if is_error(node)]
    names = {x.id for node in nodes for x in ast.walk(node) if isinstance(x, ast.Name)}
    for node in ast.walk(function):
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id in names for target in targets):
                nodes.append(node.value)
    return nodes


@functools.cache
def errors_by_function():
    """{function: (its error nodes, the constants of its module)}."""
    trees = call_chain.read_modules()
    result = {}
    for name, (function, module, _) in call_chain.definitions(trees).items():
        assignments = [node for node in trees[module].body if isinstance(node, ast.Assign)]
        constants = {
            target.id: node.value
            for node in assignments
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if nodes := error_nodes(function):
            result[name] = nodes, constants
    return result


def error_texts():
    """(function, text) of every text of an error."""
    for name, (nodes, constants) in errors_by_function().items():
        yield from ((name, text) for node in nodes for text in texts_of(node, constants))


def option_names(mode):
    return {opt.name for opt in list_options(modes.import_mode(mode).Options)}


def command_flags(command):
    """The flags of a command of prodgen.experiments."""
    module = importlib.import_module(f"prodgen.experiments.{COMMANDS[command]}")
    return {"help", *(opt.name for opt in list_options(module.Options))}


def benchmark_flags(tree):
    """The flags that a benchmark defines; `config` where it reads a config's."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {getattr(call.func, "attr", ""): call for call in calls}
    defined_flags = {
        call.args[0].value
        for call in calls
        if getattr(call.func, "attr", "").startswith("DEFINE_") and call.args
    }
    return defined_flags | {"help"} | ({"config"} if "split_config_flags" in names else set())


def called_functions(path, graph):
    """The tree of a program's file, and the functions of prodgen that it names."""
    tree = ast.parse(path.read_text())
    names = imported_names(tree)
    targets = set(names.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            targets.add(f"{names.get(node.value.id, '')}.{node.attr}")
    return tree, targets & set(graph)


@functools.cache
def programs():
    """{program: (its flags, the functions of prodgen that it may call)}."""
    graph = call_chain.call_graph()

    def reach(roots):
        reachable, pending = set(), [root for root in roots if root in graph]
        while pending:
            name = pending.pop()
            if name not in reachable:
                reachable.add(name)
                pending += graph[name]
        return reachable

    def starting_with(*prefixes):
        return {name for name in graph if name.startswith(prefixes)}

    result = {"the library": (set(), reach(starting_with("prodgen.model.")))}
    functions = reach(starting_with("prodgen.programs.training.", "prodgen.trainer."))
    result["run_train.py"] = (TRAINING_FLAGS, functions)
    for mode, module in registry.MODES.items():
        options = modes.import_mode(mode).Options
        roots = {f"{cls.__module__}.{cls.__qualname__}.check" for cls in options.__mro__}
        roots |= {f"{module}.run", "prodgen.apps.common.runner.run"} | starting_with(*SAMPLING)
        result[f"mode {mode}"] = (SAMPLING_FLAGS | option_names(mode), reach(roots))
    for command, module in COMMANDS.items():
        roots = {f"prodgen.experiments.{module}.run", "prodgen.experiments.__main__.main"}
        result[f"experiments {command}"] = (command_flags(command), reach(roots))
    for command, module in launch.COMMANDS.items():
        roots = {f"prodgen.launch.{module}.run", "prodgen.launch.__main__.main"}
        options = importlib.import_module(f"prodgen.launch.{module}").Options
        own_flags = {"help", *(opt.name for opt in list_options(options))}
        result[f"launch {command}"] = (own_flags, reach(roots))
    for path in sorted((ROOT / "benchmarks").glob("[!_]*.py")):
        tree, targets = called_functions(path, graph)
        # A benchmark that runs a whole mode gives it its flags.
        targets = {name for name in targets if name.removesuffix(".run") not in MODE_MODULES}
        result[path.name] = (benchmark_flags(tree), reach(targets))
    return result


def is_field(name):
    """Whether a field of the config, or a section of it, has this name."""
    return any(path == name or path.startswith(name + ".") for path in FIELDS)


def lacks(flag, text, position, function):
    """The programs that can print `text` and lack the flag; all, if none is known to print it."""
    section, _, field = flag.partition(".")
    if field and not is_field(field):
        return ["every program"]
    before = list(PROGRAM.finditer(text[:position] + "--help"))
    if before:
        train, sample, mode, _, command = before[-1].groups()
        if command:
            commands = [command] if command in COMMANDS else COMMANDS
            return [name for name in commands if section not in command_flags(name)]
        flags = SAMPLING_FLAGS | option_names(mode) if mode else SAMPLING_FLAGS
        flags = TRAINING_FLAGS if train else flags if sample else {section}
        return [] if section in flags else [before[-1][0]]
    users = {
        name: flags for name, (flags, functions) in programs().items() if function in functions
    }
    return [name for name in users if section not in users[name]] if users else ["unknown program"]


def test_every_flag_that_an_error_names_exists_in_every_program_that_can_raise_it():
    problems = {
        (function, text, flag[0]): bad
        for function, text in error_texts()
        for flag in FLAG.finditer(text)
        if (bad := lacks(flag[1], text, flag.start(), function))
    }
    assert not problems


def test_every_flag_that_a_benchmark_names_is_its_own():
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    for path, tree in trees.items():
        # What one benchmark takes from another is raised in either.
        module = f"benchmarks.{path.stem}"
        importers = [
            other
            for other in trees.values()
            if any(f"{n}.".startswith(f"{module}.") for n in imported_names(other).values())
        ]
        flags = set.intersection(*map(benchmark_flags, importers or [tree]))
        for node in ast.walk(tree):
            for text in texts_of(node, {}) if is_error(node) else ():
                names = {match[1].partition(".")[0] for match in FLAG.finditer(text)}
                is_complete = "run_sample.py" in text or names <= flags
                assert is_complete, (path.name, text)


def test_every_field_and_file_that_an_error_names_exists():
    for function, text in error_texts():
        for field in FIELD.findall(text):
            assert is_field(field), (function, text)
        for path in PATH.findall(text):
            assert (ROOT / path).is_file(), (function, text)


def test_every_error_says_what_to_do_next():
    """A row of a batch's table is no error of its own: problems.csv lists it with the reason."""
    rows = ("prodgen.editing.batch_requests.", "prodgen.apps.batch.read_requests")
    for function, (nodes, _) in errors_by_function().items():
        for call in (node for node in nodes if isinstance(node, ast.Call) and is_error(node)):
            is_complete = len(call.args) > 1 or "from_os_error" in ast.unparse(call.func)
            assert is_complete or function.startswith(rows), (function, ast.unparse(call))


def test_code_that_two_programs_share_has_an_advice_that_sets_no_field():
    """run_sample.py has no fields to set: an alternative that does is left out there."""
    for function, (nodes, constants) in errors_by_function().items():
        if function.split(".")[1] not in SHARED_PACKAGES:
            continue
        for call in (node for node in nodes if isinstance(node, ast.Call) and len(node.args) > 1):
            for text in list(texts_of(call.args[1], constants))[:1]:
                assert any(not commandline.SETTING.search(way) for way in text.split("; or ")), (
                    function,
                    text,
                )


def test_the_walk_finds_what_it_must_find():
    """A flag of one mode in code that another mode reaches, and a flag that nobody has."""
    reader, writer = "prodgen.editing.photo_input.read_photo", "prodgen.apps.vary.Options.check"
    assert "mode vary" in lacks("images", "name --images", 5, reader)
    assert "the library" in lacks("input", "name --input", 5, reader)
    assert lacks("input", "run_sample.py --mode=vary --input", 25, reader) == []
    assert lacks("config.data.paht", "--config.data.paht", 0, "prodgen.trainer.train")
    assert lacks("config.data.path", "--config.data.path", 0, "prodgen.trainer.train") == []
    assert lacks("strength", "--strength", 0, writer) == ["unknown program"]
    assert sum("--" in text for _, text in error_texts()) > 80


def test_every_mode_that_reads_the_images_of_a_run_takes_their_present_place():
    functions = call_chain.definitions(call_chain.read_modules())
    readers = {
        name
        for name, (function, _, _) in functions.items()
        if any(
            isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "store"
            for node in ast.walk(function)
        )
    }
    reading = {mode for mode in registry.MODES if readers & programs()[f"mode {mode}"][1]}
    assert reading >= {"vary", "invert", "views", "reconstruct", "evaluate", "personalise", "batch"}
    assert all("data_path" in option_names(mode) for mode in reading)
    assert "data_path" not in option_names("grid") | option_names("gate")


def test_an_advice_is_fitted_to_the_command():
    advice = "free disk space; or set config.data.cache_dir=FOLDER; or see config.json"
    train, sample = ["run_train.py", "--config=a.py"], ["run_sample.py", "--mode=grid"]
    assert commandline.fit_advice(advice, train) == (
        "free disk space; or set --config.data.cache_dir=FOLDER; or see config.json"
    )
    assert commandline.fit_advice(advice, sample) == "free disk space; or see config.json"
    only = "set config.data.path=FOLDER"
    assert commandline.fit_advice(only, sample) == only  # of a config file that a flag names
    assert commandline.fit_advice("add --config.data.path=F", train) == "add --config.data.path=F"
