"""What the commands of ``l2-harness sae`` share: options, the states, how results are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from l2_harness.cli.lm_eval_options import usable_device
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import seed_option

if TYPE_CHECKING:
    from l2_harness.analysis.sae.loading import LoadedSae
    from l2_harness.analysis.states.store import StateStore
    from l2_harness.findings.section import Section

States = Annotated[Path, typer.Argument(help="Folder that l2-harness capture wrote.")]
Saes = Annotated[
    list[str],
    typer.Option(
        "--sae",
        help="FOLDER (of one SAE, or of several), or RELEASE:ID of sae-lens; @LAYER may follow. "
        "One a layer: repeat it.",
    ),
]
Out = Annotated[Path, folder_option("Folder for the section: tables, figures, findings.")]
Features = Annotated[
    Path, typer.Option(help="features.json of l2-harness sae features, or its folder.")
]
WithoutWords = Annotated[
    bool, typer.Option("--without-words", help="Leave features out that fire on words alone.")
]
Seed = Annotated[int, seed_option("Of everything that is drawn.")]
Device = Annotated[str, typer.Option(help="For the SAEs, such as cuda.", callback=usable_device)]


def store(states: Path) -> StateStore:
    """The states in a folder."""
    from l2_harness.analysis.states.store import StateStore

    return StateStore(states)


def settings(store: StateStore, saes: list[LoadedSae]) -> dict[str, Any]:
    """What a section says that it was made of."""
    return {
        "model": store.settings["pretrained"],
        "run_id": store.settings["run_id"],
        "rows": store.n_rows,
        "saes": [f"{one.source} ({one.architecture}, layer {one.layer})" for one in saes],
    }


def show(section: Section, out: Path) -> None:
    """Write a section and print what it found."""
    from l2_harness.findings.section import write_section
    from l2_harness.findings.terminal import show as show_sections

    write_section(section, out)
    show_sections([section], out)


@contextmanager
def progress(total: int, what: str, unit: str = "layers") -> Iterator[Callable[[int], Any]]:
    """A bar of layers or the like, where there is a terminal."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit=f" {unit}", disable=None) as bar:
        yield bar.update
