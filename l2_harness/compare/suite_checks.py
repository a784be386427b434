"""Everything about a suite that can be wrong and can be known before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from l2_harness.compare.marked_yaml import Entry, unknown
from l2_harness.compare.sharing import sampled
from l2_harness.compare.strict import check_strict
from l2_harness.compare.suite import Cell, ModelRow, Suite, cells_of
from l2_harness.compare.task_catalogue import TaskCatalogue
from l2_harness.config.decoding import check_room
from l2_harness.config.errors import ConfigError
from l2_harness.config.model_args import affecting, own_arguments
from l2_harness.config.options import read_options
from l2_harness.config.techniques import TECHNIQUES
from l2_harness.models.capabilities import capabilities, class_of_engine, engines


def check_suite(suite: Suite, only: Sequence[str] = ()) -> TaskCatalogue:
    """Look for mistakes; the catalogue of tasks if there are none.

    Configurations of models are read, weights and data sets are not.

    Args:
        suite: what is to be compared.
        only: globs of the cells that are to run; models of others may be out of reach.

    Raises:
        ConfigError: the first mistake, with file, line and remedy.
    """
    from l2_harness.registration import register

    register()
    catalogue = _checked_tasks(suite)
    cells = list(cells_of(suite))
    if not cells:
        raise ConfigError(f"{suite.file or suite.name}: `exclude` leaves no cell.")
    for pattern in suite.exclude:
        if not any(c.matches(pattern) for c in cells_of(_without_exclusions(suite))):
            raise ConfigError(f"{suite.file or suite.name}: exclude {pattern!r} means no cell.")
    _check_claims(suite)
    for model in suite.models:
        _check_model(model)
    # seeds and tasks change nothing about arguments
    for cell in {(c.model.name, c.method.name): c for c in cells}.values():
        _check_arguments(cell)
        check_strict(suite, cell)
    wanted = [c for c in cells if not only or any(c.matches(pattern) for pattern in only)]
    for cell in {c.model.name: c for c in wanted if _has_configuration(c)}.values():
        config = _check_configuration(cell)
        for own in {c.group: c for c in wanted if c.model.name == cell.model.name}.values():
            _check_length(own, config, catalogue)
            _check_layers(own, config)
    for cell in {c.group: c for c in cells}.values():
        _check_sampling(cell, catalogue)
        _check_matched(cell, cells)
    return catalogue


def _check_claims(suite: Suite) -> None:
    names = [method.name for method in suite.methods]
    for claim in suite.decision.claims if suite.decision is not None else ():
        for name in (claim.method, claim.over):
            if name is not None and name not in names:
                raise _error(claim.place, f"claim {claim.says!r}: {unknown('method', name, names)}")
        roles = {method.name: method.role for method in suite.methods}
        if roles[claim.method] in ("plain", "null") or claim.method == claim.over:
            raise _error(
                claim.place,
                f"claim {claim.says!r}: {claim.method} is to be better than "
                f"{claim.over or 'plain'}. Name a method that is neither plain, nor a null run, "
                "nor the other one.",
            )


def _without_exclusions(suite: Suite) -> Suite:
    return replace(suite, exclude=())


def _error(place: Entry | None, message: str) -> ConfigError:
    return place.error(message) if place is not None else ConfigError(message)


# -- tasks --------------------------------------------------------------------------------


def _checked_tasks(suite: Suite) -> TaskCatalogue:
    folders = [path for task in suite.tasks for path in task.include_path]
    names = [task.task for task in suite.tasks]
    catalogue = TaskCatalogue(names, tuple(dict.fromkeys(folders)))
    for task in suite.tasks:
        if not catalogue.knows(task.task):
            hint = unknown("task", task.task, catalogue.names).split(" Allowed:")[0]
            raise _error(
                task.place,
                f"{hint} `l2-harness tasks list` and `lm-eval ls tasks` show what there is; "
                "tasks of your own need include_path.",
            )
        _check_metric(task.metric, task.task, task.place, catalogue)
    return catalogue


def _check_metric(
    metric: str | None, task: str, place: Entry | None, catalogue: TaskCatalogue
) -> None:
    metrics = catalogue.metrics(task)
    if metric is not None and metrics and metric.split(",")[0] not in metrics:
        raise _error(place, f"task {task!r}: {unknown('metric', metric, metrics)}")


# -- models and their arguments -----------------------------------------------------------


def _check_model(model: ModelRow) -> None:
    _check_class(model.model_class, f"model {model.name!r}", model.place)


def _check_class(name: str, what: str, place: Entry | None) -> type:
    """The class of that name.

    Raises:
        ConfigError: lm-eval knows no such class, or can't import it.
    """
    import lm_eval.models  # noqa: F401  (registers them)
    from lm_eval.api.registry import get_model, model_registry

    known = list(model_registry.keys())
    if name not in known:
        raise _error(place, f"{what}: {unknown('model class', name, sorted(known))}")
    try:
        return get_model(name)
    except Exception as error:  # an import may fail in any way
        reason = " ".join(str(error).split())
        raise _error(
            place,
            f"{what}: model class {name!r} can't be imported ({reason}). Install what it needs.",
        ) from error


def _check_arguments(cell: Cell) -> None:
    from lm_eval.models.huggingface import HFLM

    what = f"method {cell.method.name!r}"
    cls = _check_class(cell.model_class, what, cell.method.place)
    for name in affecting(cell.args, "execution"):
        raise _error(
            cell.place_of(name),
            f"{what}: {name} is for the runner to set, which keeps every cell's traces apart. "
            "Leave it out.",
        )
    if capabilities(cell.model_class).engine == "vllm":
        _check_vllm_split(cell, what)
        return
    if not issubclass(cls, HFLM):
        if cell.model_class in engines():
            _check_ours_absent(cell, cls, cell.model_class, what)
        _check_signature(cell, cls, what)
        return
    from l2_harness.models.hf.base import HFBase

    if not issubclass(cls, HFBase):
        _check_ours_absent(cell, cls, "hf", what)
    _check_split(cell, what)


def _has_configuration(cell: Cell) -> bool:
    """Whether its model's configuration is one that transformers reads."""
    from lm_eval.models.huggingface import HFLM

    cls = _check_class(cell.model_class, cell.method.name, None)
    return issubclass(cls, HFLM) or capabilities(cell.model_class).records


def _check_split(cell: Cell, what: str) -> None:
    """As l2hf reads its arguments itself, and knows those of lm-eval's own class."""
    from l2_harness.engines.hf.hf_args import split_hf_args

    try:
        split_hf_args(_own_args(cell), _source(cell))
    except ConfigError as error:
        raise _blamed(cell, what, error) from error


def _check_vllm_split(cell: Cell, what: str) -> None:
    """As l2vllm reads its arguments itself."""
    from l2_harness.engines.vllm.vllm_args import split_vllm_args

    try:
        split_vllm_args(_own_args(cell))
    except ConfigError as error:
        raise _blamed(cell, what, error) from error


def _own_args(cell: Cell) -> dict[str, Any]:
    """model_args as the runner completes them."""
    args = {k: v for k, v in cell.args.items() if k != "pretrained"}
    return {**args, "trace_dir": "traces"} if args.get("record") == "tokens" else args


def _check_ours_absent(cell: Cell, cls: type, engine: str, what: str) -> None:
    """lm-eval's own class hands what it doesn't know on to its engine, which may ignore it."""
    ours = own_arguments().keys() - inspect.signature(cls).parameters.keys()
    for name in cell.args:
        if name in ours:
            raise _error(
                cell.place_of(name),
                f"{what}: {name} is an argument of {class_of_engine(engine)}, and this runs with "
                f"{cell.model_class}. "
                f"Set `class: {class_of_engine(engine)}`, or leave it out (a null takes an "
                "inherited argument away).",
            )


def _check_signature(cell: Cell, cls: type, what: str) -> None:
    """Arguments of a class that takes no others than it names."""
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    allowed = [name for name in parameters if name != "self"]
    for name in cell.args:
        if name not in allowed:
            raise _error(
                cell.place_of(name),
                f"{what} with {cell.model_class}: {unknown('argument', name, allowed)}",
            )


def _source(cell: Cell) -> Any:
    from l2_harness.engines.hf.loading import resolve_pretrained

    if not isinstance(cell.args.get("pretrained"), str):
        raise ConfigError(
            "args has no pretrained. Pass a model folder, the name of a model on the hub, or demo."
        )
    try:
        return resolve_pretrained(cell.args["pretrained"], cell.args)
    except ConfigError as error:
        error.argument = "pretrained"
        raise


def _check_configuration(cell: Cell) -> Any:
    """Whether there is such a model: its configuration, which is small; None of a GGUF file."""
    from l2_harness.engines.hf.loading import read_config

    what = f"model {cell.model.name!r}"
    args = cell.args
    if args.get("gguf_file"):
        return None
    try:
        config = read_config(_source(cell), args)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()).split(". ")[0]
        raise _error(
            cell.place_of("pretrained"),
            f"{what}: pretrained={args['pretrained']!r} can't be loaded ({reason}). Check the "
            "name, the network, and whether the hub lets you have it.",
        ) from error
    return config


def _check_length(cell: Cell, config: Any, catalogue: TaskCatalogue) -> None:
    """Whether a task's responses leave room for a prompt, where the configuration tells."""
    from lm_eval.models.utils import normalize_gen_kwargs, resolve_max_length

    own = cell.args.get("max_length") or cell.args.get("max_model_len")
    positions = own or resolve_max_length(config, default=0)
    for kwargs in catalogue.generation_kwargs(cell.task.task) if positions else ():
        # of sampling lm-eval would warn, not knowing what model_args say of it
        limits = {**kwargs, **cell.gen_kwargs, "do_sample": None, "temperature": 0}
        asked = normalize_gen_kwargs(limits)["max_gen_toks"]
        try:
            check_room(asked, int(positions), f"task {cell.task.task!r}")
        except ConfigError as error:
            raise _blamed(cell, f"model {cell.model.name!r}", error) from error


def _check_layers(cell: Cell, config: object) -> None:
    """Whether the model has the monitored layers, and enough of them for the techniques."""
    from l2_harness.config.interventions import read_interventions
    from l2_harness.config.recording import RecordingConfig
    from l2_harness.engines.decoder_layers import number_of_layers

    if config is None or not capabilities(cell.model_class).records:
        return
    n_layers = number_of_layers(config)
    if n_layers is None or "layers_path" in cell.args:
        return
    given = {name: value for name, value in cell.args.items() if name == "layers"}
    try:
        layers = read_options(RecordingConfig, given).layers.resolve(n_layers)
        read_interventions(cell.args).check_layers(layers)
    except ConfigError as error:
        raise _blamed(cell, f"method {cell.method.name!r}", error) from error


def _blamed(cell: Cell, what: str, error: ConfigError) -> ConfigError:
    """The error with the place where its argument was written."""
    return _error(cell.place_of(error.argument), f"{what}: {error}")


def _check_matched(cell: Cell, cells: Sequence[Cell]) -> None:
    """Whether a control's technique is there, and runs before it."""
    if cell.method.matches is None:
        return
    before = cells[: [c.name for c in cells].index(cell.name)]
    what = f"method {cell.method.name!r} matches {cell.method.matches!r}"
    if cell.matched(before) is None:
        raise _error(
            cell.method.place,
            f"{what}, which is no method before it of the same models and tasks.",
        )
    if "random" not in (cell.args.get(name) for name in TECHNIQUES.names):
        raise _error(
            cell.method.place,
            f"{what}, and is no random control: pass recursion=random or the like.",
        )


# -- how responses are drawn --------------------------------------------------------------


def _check_sampling(cell: Cell, catalogue: TaskCatalogue) -> None:
    """Several samples of greedy decoding, which l2hf refuses when it meets the first request."""
    if not capabilities(cell.model_class).records:
        return
    n = cell.num_samples
    generates = catalogue.generation_kwargs(cell.task.task)
    if n > 1 and not generates:
        return
    if n > 1 and sampled(cell, catalogue) is False:
        raise _error(
            cell.place_of("num_samples"),
            f"method {cell.method.name!r}: num_samples={n} asks for different samples, but task "
            f"{cell.task.task!r} is decoded greedily. Add gen_kwargs: {{do_sample: true, "
            "temperature: 0.6} (or another temperature above 0), or leave num_samples out.",
        )
