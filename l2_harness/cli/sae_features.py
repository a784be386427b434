"""``l2-harness sae features``, ``trend`` and ``correlate``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli import sae_support as support
from l2_harness.cli.command_line import command_line
from l2_harness.cli.outputs import file_option
from l2_harness.cli.recorded_options import Resamples
from l2_harness.cli.sae_support import (
    Device,
    Features,
    Out,
    Saes,
    Seed,
    States,
    WithoutWords,
)
from l2_harness.paths import no_network_for

if TYPE_CHECKING:
    from torch import Tensor

    from l2_harness.analysis.sae.feature_sets import FeatureSet
    from l2_harness.analysis.sae.injection import RunModel
    from l2_harness.analysis.sae.loading import LoadedSae
    from l2_harness.analysis.states.forcing import KnownTokens
    from l2_harness.analysis.states.store import StateStore


def features(
    states: States,
    sae: Saes,
    out: Out,
    thinking: Annotated[str | None, typer.Option(help="The thinking task.")] = None,
    direct: Annotated[str | None, typer.Option(help="The direct task.")] = None,
    count: Annotated[int, typer.Option("--features", min=1, help="Chosen a layer.")] = 10,
    by: Annotated[str, typer.Option(help="Chosen by: difference, or effect.")] = "difference",
    draws: Annotated[int, typer.Option(min=1, help="Of as many random features.")] = 5,
    injected: Annotated[
        int,
        typer.Option(
            min=0,
            help="Direct responses of the injected-token test, each run twice a feature and layer; "
            "0: no test.",
        ),
    ] = 10,  # the fewest that give an interval (findings.least)
    top_tokens: Annotated[int, typer.Option(min=1, help="Tokens a feature, in that test.")] = 10,
    traces: Annotated[
        Path | None,
        typer.Option(help="Trace folder of the run: its settings load the model for that test."),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="The model for that test, where no --traces is given.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Choose reasoning features by contrast, match random ones, test them on held questions."""
    from l2_harness.analysis.sae.choosing import (
        FeatureOptions,
        choose_features,
        score_table,
        with_word_detectors,
    )
    from l2_harness.analysis.sae.feature_sets import FILE
    from l2_harness.analysis.sae.features_section import features_section
    from l2_harness.analysis.sae.loading import load_saes
    from l2_harness.analysis.sae.pairs import pair_tasks
    from l2_harness.config.options import choice

    choice("difference", "effect")("--by", by)
    store = support.store(states)
    pairs = pair_tasks(store, thinking, direct, seed)
    saes = load_saes(sae, store, device)
    options = FeatureOptions(
        count=count,
        by=by,
        draws=draws,
        top_tokens=top_tokens,
        injected_responses=injected,
        seed=seed,
    )
    with support.progress(len(saes), "Choosing") as tick:
        found = choose_features(store, saes, pairs, options, tick)
    scores = score_table(store, saes, found)
    table = None
    if injected:
        table = _injection(store, saes, found, options, traces, pretrained, device)
        found = with_word_detectors(found, table)
    out.mkdir(parents=True, exist_ok=True)
    found.write(out / FILE)
    settings = {
        **support.settings(store, saes),
        **vars(options),
        "thinking": pairs.thinking,
        "direct": pairs.direct,
    }
    support.show(features_section(found, scores, table, settings, command_line()), out)


def trend(
    states: States,
    sae: Saes,
    features: Features,
    out: Out,
    without_words: WithoutWords = False,
    resamples: Resamples = 2000,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Activation of the reasoning features from layer to layer, beside norms and random ones."""
    from l2_harness.analysis.sae.trend import layer_means, rises, trend_table
    from l2_harness.analysis.sae.trend_section import trend_section

    store, chosen, saes = _read(states, sae, features, without_words, device)
    means = layer_means(store, saes, chosen)
    drawn = {"without_words": without_words, "resamples": resamples, "seed": seed}
    table = trend_table(means)
    found = rises(means, resamples=resamples, seed=seed)
    support.show(
        trend_section(
            *(table, found, len(chosen.pairs.held)),
            {**support.settings(store, saes), **drawn},
            command_line(),
        ),
        out,
    )


def directions(
    sae: Saes,
    features: Features,
    out: Annotated[Path, file_option("The file, .npz.")],
    without_words: WithoutWords = False,
    draw: Annotated[
        int | None,
        typer.Option(min=0, help="Of random features of the same frequency, this draw: a control."),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Write what steering_source=sae steers along: decoder directions of reasoning features."""
    from l2_harness.analysis.sae.directions import decoder_directions
    from l2_harness.analysis.sae.loading import load_sae, parse_source
    from l2_harness.norms.directions import write_directions

    chosen = chosen_features(features, without_words)
    loaded = [load_sae(source, device) for name in sae for source in parse_source(name)]
    vectors = decoder_directions(chosen.readers(loaded), chosen, draw)
    write_directions(out, vectors)
    kind = "reasoning" if draw is None else "random"
    print(f"{out}: directions of {kind} features at layers {'+'.join(map(str, vectors))}")


def correlate(
    states: States,
    sae: Saes,
    features: Features,
    out: Out,
    without_words: WithoutWords = False,
    rows: Annotated[int, typer.Option(min=10, help="Rows of a layer, drawn evenly.")] = 10_000,
    resamples: Resamples = 500,
    seed: Seed = 0,
    device: Device = "cpu",
) -> None:
    """Correlate norms, entropies, margin and state change with reasoning and random features."""
    from l2_harness.analysis.sae.correlate import across_layers, within_layers
    from l2_harness.analysis.sae.correlate_section import correlate_section
    from l2_harness.analysis.sae.trend import layer_means

    store, chosen, saes = _read(states, sae, features, without_words, device)
    within = within_layers(store, saes, chosen, max_rows=rows, resamples=resamples, seed=seed)
    means = layer_means(store, saes, chosen)
    across = across_layers(means, resamples=resamples, seed=seed)
    words = {"without_words": without_words}
    drawn = {**words, "rows": rows, "resamples": resamples, "seed": seed}
    support.show(
        correlate_section(
            *(within, across, len(chosen.pairs.held)),
            {**support.settings(store, saes), **drawn},
            command_line(),
        ),
        out,
    )


def chosen_features(features: Path, without_words: bool) -> FeatureSet:
    """Those of a ``features.json``, or the ones of them that are no detectors of words."""
    from l2_harness.analysis.sae.feature_sets import read_features

    found = read_features(features)
    return found.without_words() if without_words else found


def _read(
    states: Path, sae: list[str], features: Path, without_words: bool, device: str
) -> tuple[StateStore, FeatureSet, list[LoadedSae]]:
    """The states, the features that count, and the SAEs of their layers."""
    from l2_harness.analysis.sae.loading import load_saes

    store, chosen = support.store(states), chosen_features(features, without_words)
    return store, chosen, list(chosen.readers(load_saes(sae, store, device)))


def _injection(
    store: StateStore,
    saes: list[LoadedSae],
    found: Any,
    options: Any,
    traces: Path | None,
    pretrained: str | None,
    device: str,
) -> Any:
    from l2_harness.analysis.sae.choosing import injection_table
    from l2_harness.norms import read_run_settings

    run_id = str(store.settings["run_id"])
    name = pretrained or str(store.settings["pretrained"])
    no_network_for(name)
    from l2_harness.analysis.sae.model_runs import runner
    from l2_harness.analysis.states.run_model import load_run_model

    settings = (
        {"pretrained": name, "dtype": store.settings["model_dtype"]}
        if traces is None
        else read_run_settings(traces, run_id)
    )
    model = load_run_model(settings, run_id, pretrained=name, device=device)
    responses = min(options.injected_responses, len(found.pairs.held))
    total = 2 * responses * sum(len(found.of(one).selected) for one in saes)
    with support.progress(total, "Injecting", "sequences") as tick:
        return injection_table(
            store,
            saes,
            found,
            _said(runner(model), total, tick),
            options,
            lambda token: str(model.lm.tokenizer.decode([token])),
        )


def _said(run: RunModel, total: int, tick: Callable[[int], Any]) -> RunModel:
    """A model's run that says beforehand how long all of it takes, and then how far it is."""
    import time

    from l2_harness.findings.words import count

    typer.echo(
        f"Injected-token test: the model runs over {count(total, 'sequence')} "
        "(--injected takes fewer, 0 none).",
        err=True,
    )
    started, done = time.perf_counter(), 0

    def counted(known: Sequence[KnownTokens], layer: int) -> list[Tensor]:
        nonlocal done
        states = run(known, layer)
        if not done:
            minutes = (time.perf_counter() - started) * total / max(len(known), 1) / 60
            typer.echo(f"That takes about {count(max(1, round(minutes)), 'minute')}.", err=True)
        done += len(known)
        tick(len(known))
        return states

    return counted
