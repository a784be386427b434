"""``l2-harness demo``: this project's own commands, one after another, on the packaged model."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer

from l2_harness.cli.engine_choice import Engine, engine_of
from l2_harness.cli.interrupted import Interrupted
from l2_harness.cli.outputs import folder_option
from l2_harness.cli.recorded_options import seed_option
from l2_harness.paths import no_network_for

if TYPE_CHECKING:
    from rich.console import Console

    from l2_harness.compare.suite import Suite
    from l2_harness.findings.section import Section

SUITE = "first_look"
TASK = "l2_demo"

#: Of 540. All of it takes about two minutes on one core.
DEFAULT_LIMIT = 200
#: Of a line on the screen.
_WIDTH = 100
#: Of a finding on the screen, two or three lines.
_FINDING = 240
#: Sections whose first finding is shown; the leaderboard is shown as its table.
_SHOWN = ("norms", "selection")
_NEXT = (
    f"l2-harness compare {SUITE} --tasks l2_gsm8k --limit 200 \\\n"
    "      --model-args pretrained=Qwen/Qwen3-0.6B,dtype=bfloat16"
)


def command(
    out: Annotated[
        Path, folder_option("Folder for results, traces, tables and the report.")
    ] = Path("l2-demo"),
    limit: Annotated[
        int, typer.Option(min=1, help="The first so many problems, of 540.")
    ] = DEFAULT_LIMIT,
    seed: Annotated[int, seed_option("Of the samples and of all intervals.")] = 0,
    pretrained: Annotated[
        str, typer.Option(help="`demo`, the packaged model, or a model folder or hub name.")
    ] = "demo",
    engine: Engine = None,
) -> None:
    """Evaluate a small reasoning model through lm-eval, and write a report of it.

    Runs the suite `first_look` (lm-eval's own hf, l2hf with its norms recorded, a technique beside
    its control, a choice among 8 samples; with --engine vllm vllm and l2vllm), then analyze,
    select and report on what it left.
    """
    no_network_for(pretrained)
    demo = _Demo(out, limit, seed, pretrained, engine_of(engine), _console())
    try:
        demo.run()
    except (KeyboardInterrupt, Interrupted):
        demo.say(f"\nInterrupted. What was done is in {out}; the same command goes on from there.")
        raise typer.Exit(130) from None


@dataclass(frozen=True)
class _Demo:
    """The commands in their order, and what the screen shows of them."""

    out: Path
    limit: int
    seed: int
    pretrained: str
    engine: str | None
    console: Console

    def run(self) -> None:
        """Run them all, then show what came out.

        Raises:
            ConfigError: the folder can't be made, or a command found something wrong.
            typer.Exit: a run of the suite failed.
        """
        self._make_folder()
        suite = self._suite()
        self.say(
            f"[1/4] l2-harness compare {SUITE}: greedy decoding and its norms, ALRR, "
            "a choice among 8 samples"
        )
        board = self._compare(suite)
        plain, samples = self._recorded(suite)
        self.say("[2/4] l2-harness analyze: what the norms of the plain responses go with")
        within = ("--strata", "family+steps")
        self._command("analyze", *plain, *within, "--out", str(self.out / "analysis"))
        self.say("[3/4] l2-harness select: every selector on the same samples")
        self._command("select", *samples, "--out", str(self.out / "selection"))
        self.say("[4/4] l2-harness report: all of it, and responses coloured by their norms")
        title = f"A first look at {self.pretrained}"
        self._command("report", str(self.out), "--traces", *plain, "--title", title)
        self._print_board(board)
        self._print_findings()
        self._print_end()

    def say(self, line: str) -> None:
        """A line that stays on the screen."""
        self.console.print(line, markup=False, soft_wrap=True)

    def _make_folder(self) -> None:
        from l2_harness.config.errors import ConfigError

        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--out {self.out} can't be made: {error.strerror}.") from error

    def _suite(self) -> Suite:
        from l2_harness.compare.suite import Overrides
        from l2_harness.compare.suite_reader import load_suite

        args = {} if self.pretrained == "demo" else {"pretrained": self.pretrained}
        overrides = Overrides(
            limit=self.limit, seeds=(self.seed,), model_args=args, engine=self.engine
        )
        return overrides.applied(load_suite(SUITE))

    def _compare(self, suite: Suite) -> Section:
        """The leaderboard, as the command of that name makes it, which shows more on the way."""
        from l2_harness.cli.compare import tell_failures
        from l2_harness.compare.leaderboard import Options, leaderboard, write_leaderboard
        from l2_harness.compare.progress import Lines
        from l2_harness.compare.runner import run_suite

        words = ["compare", SUITE, "--out", str(self.out), "--limit", str(self.limit)]
        words += ["--seeds", str(self.seed), "--seed", str(self.seed)]
        if self.pretrained != "demo":
            words += ["--model-args", f"pretrained={self.pretrained}"]
        if self.engine is not None:
            words += ["--engine", self.engine]
        with self._logged(words) as show:
            outcomes = run_suite(suite, self.out, progress=Lines(show))
        tell_failures(outcomes, self.console)
        result = leaderboard(outcomes, Options(seed=self.seed), suite.published)
        return write_leaderboard(result, self.out / "leaderboard", command=_typed(words))[0]

    def _recorded(self, suite: Suite) -> tuple[list[str], list[str]]:
        """The plain responses and the samples, as the commands take them."""
        from l2_harness.compare.cell_files import read_record
        from l2_harness.compare.suite import cells_of

        cells = {cell.method.name: self.out / "cells" / cell.name for cell in cells_of(suite)}
        record = read_record(cells["best8_l2"])
        assert record is not None, "compare has just written it"
        drawn = cells["best8_l2"]
        if record.shared_samples is not None:
            drawn = self.out / record.shared_samples
        options = ["--task", TASK, "--seed", str(self.seed)]
        plain, samples = (
            [str(cell / "traces"), "--samples", str(cell), *options]
            for cell in (cells["plain"], drawn)
        )
        return plain, samples

    def _command(self, *words: str) -> None:
        """Run a command of this project as if it had been typed."""
        from unittest.mock import patch

        from l2_harness.cli.app import app

        with self._logged(words), patch.object(sys, "argv", ["l2-harness", *words]):
            app(standalone_mode=False)

    @contextmanager
    def _logged(self, words: Sequence[str]) -> Iterator[Callable[[str], None]]:
        """What is printed goes to ``log/<command>.txt``; a terminal shows that something happens.

        Yields:
            Shows a line until the next one comes.
        """
        log = self.out / "log" / f"{words[0]}.txt"
        log.parent.mkdir(exist_ok=True)
        with (
            log.open("w", encoding="utf-8") as file,
            self.console.status(words[0]) as status,
            redirect_stdout(file),
            redirect_stderr(file),
        ):
            print("$", _typed(words), flush=True)

            def show(line: str) -> None:
                print(line, flush=True)
                status.update(line.strip())

            yield show

    def _print_board(self, board: Section) -> None:
        from l2_harness.findings.terminal import print_table

        for table in board.tables:
            print_table(table, self.console)

    def _print_findings(self) -> None:
        """The beginning of a few sections, in the order of the report."""
        from rich.markup import escape

        from l2_harness.findings.section import find_sections

        for section in find_sections(self.out):
            if section.name in _SHOWN and section.findings:
                title = f"[bold]{escape(section.title)}.[/bold]"
                finding = shorten(section.findings[0], _FINDING, placeholder=" …")
                self.console.print(f"\n{title} {escape(finding)}")

    def _print_end(self) -> None:
        report, log = self.out / "report.html", self.out / "log"
        self.say(f"\nOpen {report}, which shows all of it. {log} has what each command printed.")
        self.say(f"A model of your own:\n  {_NEXT}")


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["l2-harness", *words])


def _console() -> Console:
    """Bound to this output: while a command runs, what it prints goes elsewhere."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    console.width = min(console.width, _WIDTH) if console.is_terminal else _WIDTH
    return console
