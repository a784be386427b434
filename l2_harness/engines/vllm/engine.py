"""vLLM driven a step at a time: requests in, complete responses with their rows out.

    engine = VllmEngine(llm)
    engine.begin(WorkerRun(…))
    for answers in engine.run(asks):
        ...

Knows vLLM; knows nothing of lm-eval.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.engines.vllm.orders import Order
from l2_harness.engines.vllm.row_log import RowsByResponse
from l2_harness.engines.vllm.step_watcher import WorkerRun
from l2_harness.engines.vllm.wire import unpacked
from l2_harness.interventions import ResponseReport
from l2_harness.norms.rows import ResponseRows
from l2_harness.norms.signals import SIGNALS

#: Complete responses that are handed on together, and seconds after which fewer are.
_TOGETHER, _SECONDS = 32, 2.0
#: Numbers of rows under way that may wait in the workers.
_WAITING = 1 << 24


@dataclass(frozen=True, eq=False)
class Ask:
    """A request.

    Attributes:
        about: whatever the asker wants to know it by.
        prompt: its ids.
        params: vLLM's ``SamplingParams``.
        order: makes what the workers are told of it, from the number that it gets.
        n_rows: how many rows a complete response has, from vLLM's output.
        salt: keeps what it leaves in the prefix cache from requests of another salt.
    """

    about: Any
    prompt: Sequence[int]
    params: Any
    order: Callable[[int], Order]
    n_rows: Callable[[Any], int]
    salt: str | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a request: vLLM's own output, its rows, what was done to it."""

    ask: Ask
    output: Any
    rows: ResponseRows | None
    report: ResponseReport | None


class VllmEngine:
    """One engine.

    Args:
        llm: ``vllm.LLM``.
        watched: whether its workers are ours (:mod:`l2_harness.engines.vllm.worker`).
        lora: the adapter of every request.
    """

    def __init__(self, llm: Any, watched: bool = True, lora: Any = None) -> None:
        self._engine, self._watched, self._lora = llm.llm_engine, watched, lora
        self._keys = count()
        self._run: WorkerRun | None = None

    @property
    def most_responses(self) -> int:
        """How many vLLM decodes side by side."""
        most: int = self._engine.vllm_config.scheduler_config.max_num_seqs
        return most

    @property
    def cached_tokens(self) -> int:
        """How many tokens its KV cache holds."""
        cache = self._engine.vllm_config.cache_config
        return int(cache.num_gpu_blocks) * int(cache.block_size)

    def begin(self, run: WorkerRun) -> None:
        """Tell the workers what is wanted of the responses from now on."""
        self._run = run
        self._engine.collective_rpc("l2_begin", args=(json.dumps(asdict(run)),))

    def try_out(self, reruns: Sequence[int]) -> None:
        """Run a short request, and on it each of these layers again.

        Raises:
            ConfigError: one of them cannot be run again, and why.
        """
        from vllm import SamplingParams

        params = SamplingParams(temperature=0, max_tokens=4, ignore_eos=True, detokenize=False)
        ask = Ask(None, [3, 10, 17, 24], params, lambda key: Order(key, 3, trial=True), _no_rows)
        list(self.run([ask]))
        (faults, _), *_ = map(unpacked, self._rpc("l2_trial", list(reruns)))
        if faults:
            raise ConfigError(
                f"recursion cannot run layers of this model again in vLLM: {faults[0]} Norms can "
                "still be recorded, steered and suppressed: pass recursion=off, or layers= with "
                "other layers."
            )

    def run(self, asks: Sequence[Ask], tokens_at_once: int | None = None) -> Iterator[list[Answer]]:
        """Complete responses, some at a time, in the order in which they end.

        Args:
            asks: the requests, in the order in which they begin.
            tokens_at_once: the most tokens that the requests under way may come to; as many as
                vLLM wants where it isn't given.
        """
        waiting = deque(asks)
        under_way: dict[str, tuple[int, Ask]] = {}
        done: list[tuple[int, Ask, Any]] = []
        rows, since, steps = RowsByResponse(), time.monotonic(), 0
        try:
            while waiting or under_way or done:
                self._fill(waiting, under_way, tokens_at_once)
                steps += 1
                for output in self._engine.step() if under_way else ():
                    if output.finished:
                        done.append((*under_way.pop(output.request_id), output))
                late = time.monotonic() - since > _SECONDS
                if done and (late or len(done) >= _TOGETHER or not under_way):
                    yield self._answers(done, rows)
                    done, since, steps = [], time.monotonic(), 0
                elif self._records and steps * len(under_way) * self._row_size > _WAITING:
                    self._take({}, rows)
                    steps = 0
        finally:
            if under_way:
                self._engine.abort_request(list(under_way))
                if self._watched:
                    self._rpc("l2_drop")

    def _fill(
        self,
        waiting: deque[Ask],
        under_way: dict[str, tuple[int, Ask]],
        tokens_at_once: int | None,
    ) -> None:
        """Hand vLLM as many requests as it may have."""
        held = sum(_most_tokens(ask) for _, ask in under_way.values())
        while waiting and len(under_way) < 2 * self.most_responses:
            held += _most_tokens(waiting[0])
            if tokens_at_once is not None and held > tokens_at_once and under_way:
                return
            key, ask = next(self._keys), waiting.popleft()
            under_way[str(key)] = key, ask
            self._add(key, ask)

    def _add(self, key: int, ask: Ask) -> None:
        from vllm import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = ask.params.clone()
        params.output_kind = RequestOutputKind.FINAL_ONLY
        if self._watched:
            params.extra_args = (params.extra_args or {}) | ask.order(key).as_extra_args()
        prompt = TokensPrompt(prompt_token_ids=list(ask.prompt))
        if ask.salt is not None:
            prompt["cache_salt"] = ask.salt
        self._engine.add_request(str(key), prompt, params, lora_request=self._lora)

    @property
    def _records(self) -> bool:
        return self._run is not None and self._run.records

    @property
    def _row_size(self) -> int:
        """Numbers of a row."""
        return 0 if self._run is None else len(self._run.layers) + len(SIGNALS.names)

    def _answers(self, done: Sequence[tuple[int, Ask, Any]], rows: RowsByResponse) -> list[Answer]:
        lengths = {key: ask.n_rows(output) for key, ask, output in done}
        told = self._take(lengths, rows) if self._watched else {}
        answers = []
        for key, ask, output in done:
            found = told.get(str(key), {"report": None, "scores": {}})
            own = None
            if self._records and lengths[key]:
                own = rows.take(key, ask.order(key).first, lengths[key], found["scores"])
            report = None if found["report"] is None else ResponseReport.read(found["report"])
            answers.append(Answer(ask, output, own, report))
        return answers

    def _take(self, lengths: Mapping[int, int], rows: RowsByResponse) -> dict[str, Any]:
        """What the workers have; all of them hold the same, the first one's is taken."""
        header, arrays = unpacked(self._rpc("l2_take", lengths)[0])
        rows.add(arrays)
        told: dict[str, Any] = header
        return told

    def _rpc(self, method: str, *args: Any) -> list[Any]:
        texts = tuple(json.dumps(argument) for argument in args)
        found: list[Any] = self._engine.collective_rpc(method, args=texts)
        return found


def _most_tokens(ask: Ask) -> int:
    return len(ask.prompt) + (ask.params.max_tokens or 0)


def _no_rows(output: Any) -> int:
    return 0
