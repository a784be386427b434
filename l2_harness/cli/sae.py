"""``l2-harness sae``: sparse autoencoders on captured states, and what norms say of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli import sae_features
from l2_harness.cli import sae_support as support
from l2_harness.cli.command_line import command_line
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.sae_support import Device, Out, Saes, Seed, States

if TYPE_CHECKING:
    from l2_harness.analysis.sae.feature_sets import FeatureSet
    from l2_harness.analysis.sae.loading import LoadedSae
    from l2_harness.analysis.states.store import StateStore

app = typer.Typer(
    no_args_is_help=True,
    help="Sparse autoencoders on captured states: train, load, features, trend, correlate, "
    "directions, bound.",
)


@app.command()
def train(
    states: States,
    out: Annotated[Path, folder_option("Folder for the SAEs, a folder a layer.")],
    report: Annotated[
        Path | None, folder_option("Folder for the section on their quality; OUT by default.")
    ] = None,
    layers: Annotated[str, typer.Option(help="all, or a list such as 20-26+30.")] = "all",
    architecture: Annotated[str, typer.Option(help="Any that sae-lens trains.")] = "batchtopk",
    expansion: Annotated[int, typer.Option(min=1, max=1024, help="Features to a component.")] = 4,
    k: Annotated[int, typer.Option(min=1, help="Active features, where they are fixed.")] = 16,
    sparsity: Annotated[
        float | None, typer.Option(help="Coefficient of the sparsity loss, where there is one.")
    ] = None,
    steps: Annotated[int, typer.Option(min=5, help="Training steps.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a step.")] = 1024,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    share: Annotated[
        float, typer.Option(help="Of the questions, those trained on; the others measure quality.")
    ] = 0.5,
    seed: Seed = 0,
    device: Device = "cpu",
    checkpoint_every: Annotated[int, typer.Option(min=1, help="Steps.")] = 250,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, a field of sae-lens' training configuration."),
    ] = None,
) -> None:
    """Train an SAE a layer with sae-lens; a killed run goes on when it is started again."""
    from tqdm import tqdm

    from l2_harness.analysis.sae.loading import load_saes
    from l2_harness.analysis.sae.quality import measure
    from l2_harness.analysis.sae.quality_section import quality_section
    from l2_harness.analysis.sae.train_options import TrainOptions
    from l2_harness.analysis.sae.training import split_responses, train_layer

    store = support.store(states)
    options = TrainOptions(
        architecture=architecture,
        expansion=expansion,
        k=k,
        sparsity=sparsity,
        steps=steps,
        batch=batch,
        lr=lr,
        seed=seed,
        share=share,
        device=device,
        checkpoint_every=checkpoint_every,
        extra=_fields(set_ or []),
    )
    chosen = _layers(layers, store)
    folders = []
    with tqdm(total=len(chosen) * steps, desc="Training", unit=" steps", disable=None) as bar:
        for layer in chosen:
            bar.set_postfix_str(f"layer {layer}")
            folders.append(train_layer(store, layer, out, options, bar.update))
    held = split_responses(store, share, seed)[1]
    found = [
        measure(one, store, held) for one in load_saes([str(f) for f in folders], store, device)
    ]
    settings = {"states": states.name, **options.as_dict()}
    support.show(quality_section(found, settings, command_line()), report or out)


@app.command()
def load(
    sae: Saes,
    states: Annotated[
        Path | None, typer.Option(help="States that they are to read: checked, and measured on.")
    ] = None,
    out: Annotated[Path | None, folder_option("Save them here, as sae-lens folders.")] = None,
    device: Device = "cpu",
) -> None:
    """Load SAEs from folders or sae-lens releases, check them, say what they are."""
    from l2_harness.analysis.sae.checkpoints import storing
    from l2_harness.analysis.sae.loading import load_sae, load_saes, parse_source
    from l2_harness.analysis.sae.training import sae_folder

    if states is not None:
        store = support.store(states)
        loaded = load_saes(sae, store, device)
    else:
        loaded = [load_sae(source, device) for name in sae for source in parse_source(name)]
    for one in loaded:
        config = one.sae.cfg
        print(
            f"{one.source}: {one.architecture}, layer {one.layer}, {config.d_in} → {one.d_sae} "
            f"features, of {config.metadata.model_name or 'an unnamed model'}"
        )
        if states is not None:
            _print_quality(one, store)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            with storing(out):
                one.sae.save_model(sae_folder(out, one.layer))


app.command()(sae_features.features)
app.command()(sae_features.trend)
app.command()(sae_features.correlate)
app.command()(sae_features.directions)


@app.command()
def bound(
    states: States,
    sae: Saes,
    out: Out,
    features: Annotated[
        Path | None,
        typer.Option(help="features.json: the paper's two-sided theorem is measured on them too."),
    ] = None,
    without_words: support.WithoutWords = False,
    device: Device = "cpu",
) -> None:
    """Check act ≤ ‖w‖‖h‖ + b on every captured row and feature; ends with 1 if it is violated."""
    from l2_harness.analysis.sae.bound_check import BoundViolationError, check_sae, require
    from l2_harness.analysis.sae.bound_section import bound_section
    from l2_harness.analysis.sae.loading import load_saes

    store = support.store(states)
    saes = load_saes(sae, store, device)
    results = []
    with support.progress(len(saes), "Checking") as tick:
        for one in saes:
            results.append(check_sae(one, store))
            tick(1)
    settings = support.settings(store, saes)
    support.show(bound_section(results, settings, command_line()), out)
    try:
        require(results)
    except BoundViolationError as error:
        print(f"l2-harness: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
    if features is not None:
        chosen = sae_features.chosen_features(features, without_words)
        _theorem(
            store, chosen.readers(saes), chosen, {**settings, "without_words": without_words}, out
        )


def _theorem(
    store: StateStore,
    saes: list[LoadedSae],
    chosen: FeatureSet,
    settings: dict[str, Any],
    out: Path,
) -> None:
    from l2_harness.analysis.sae.theorem import measure_theorem
    from l2_harness.analysis.sae.theorem_section import theorem_section

    found = measure_theorem(store, saes, chosen)
    support.show(theorem_section(found, settings, command_line()), out)


def _layers(value: str, store: StateStore) -> tuple[int, ...]:
    from l2_harness.config.errors import ConfigError
    from l2_harness.config.layers import LayerSelection

    selection = LayerSelection.parse(value)
    if selection.preset == "all":
        return store.layers
    chosen = selection.resolve(max(store.layers) + 1)
    missing = [layer for layer in chosen if layer not in store.layers]
    if missing:
        raise ConfigError(
            f"--layers={value}: layer {missing[0]} was not captured; {store.folder} holds "
            f"{'+'.join(map(str, store.layers))}."
        )
    return chosen


def _fields(items: list[str]) -> dict[str, Any]:
    """``--set NAME=VALUE``, values as YAML reads them."""
    import yaml

    from l2_harness.config.errors import ConfigError

    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item}: write NAME=VALUE.")
        found[name] = yaml.safe_load(value)
    return found


def _print_quality(loaded: LoadedSae, store: StateStore) -> None:
    from l2_harness.analysis.sae.choosing import refuse_temporal
    from l2_harness.analysis.sae.quality import measure

    refuse_temporal(loaded)
    found = measure(loaded, store, store.responses())
    print(
        f"  on {found.rows} rows: explained variance {found.explained_variance:.3f}, L0 "
        f"{found.l0:.1f}, dead {100 * found.dead:.1f} %"
    )
