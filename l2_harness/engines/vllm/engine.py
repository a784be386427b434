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
from functools import cached_property
from itertools import count
from typing import Any

from l2_harness.config import ConfigError
from l2_harness.engines.response_end import ResponseEnd
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
        end: where a complete response ends, from vLLM's output.
        salt: keeps what it leaves in the prefix cache from requests of another salt.
    """

    about: Any
    prompt: Sequence[int]
    params: Any
    order: Callable[[int], Order]
    end: Callable[[Any], ResponseEnd]
    salt: str | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a request: vLLM's own output, its end, its rows, what was done to it."""

    ask: Ask
    output: Any
    end: ResponseEnd
    rows: ResponseRows | None
    report: ResponseReport | None


@dataclass(frozen=True)
class EngineFacts:
    """What an engine is like.

    Attributes:
        most_responses: that it decodes side by side.
        cache_blocks: that its KV cache has for requests.
        block_size: tokens of a block.
        chunks_prompts: whether a prompt may be prefilled in parts.
        generation_config: the model's own.
        dtype: of the weights.
        revision: of the model.
    """

    most_responses: int
    cache_blocks: int
    block_size: int
    chunks_prompts: bool
    generation_config: Mapping[str, Any]
    dtype: str
    revision: str | None


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
        self._cache_groups = 1

    @cached_property
    def facts(self) -> EngineFacts:
        """What it is like."""
        config = self._engine.vllm_config
        cache, scheduler, model = config.cache_config, config.scheduler_config, config.model_config
        return EngineFacts(
            most_responses=scheduler.max_num_seqs,
            cache_blocks=int(cache.num_gpu_blocks) - 1,  # one is nobody's
            block_size=int(cache.block_size),
            chunks_prompts=bool(scheduler.enable_chunked_prefill),
            generation_config=model.try_get_generation_config(),
            dtype=str(model.dtype),
            revision=model.revision,
        )

    def begin(self, run: WorkerRun) -> None:
        """Tell the workers what is wanted of the responses from now on."""
        self._run = run
        (self._cache_groups, _), *_ = map(unpacked, self._rpc("l2_begin", asdict(run)))

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

    def loop_dose(self) -> tuple[int, float]:
        """How many rows a looped model decoded in this run, and the sum of their doses."""
        ((rows, total), _), *_ = map(unpacked, self._rpc("l2_loop_dose"))
        return rows, total

    def run(self, asks: Sequence[Ask], preempts: bool = True) -> Iterator[list[Answer]]:
        """Complete responses, some at a time, in the order in which they end.

        Args:
            asks: the requests, in the order in which they begin.
            preempts: whether vLLM may preempt a request; else it is given no more of them than
                its KV cache holds to their last token.
        """
        waiting = deque(asks)
        under_way: dict[str, tuple[int, Ask]] = {}
        done: list[tuple[int, Ask, Any]] = []
        rows, since, steps = RowsByResponse(), time.monotonic(), 0
        try:
            while waiting or under_way or done:
                self._fill(waiting, under_way, preempts)
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
        self, waiting: deque[Ask], under_way: dict[str, tuple[int, Ask]], preempts: bool
    ) -> None:
        """Hand vLLM as many requests as it may have."""
        held = sum(self._most_blocks(ask) for _, ask in under_way.values())
        while waiting and len(under_way) < 2 * self.facts.most_responses:
            held += self._most_blocks(waiting[0])
            if not preempts and held > self.facts.cache_blocks and under_way:
                return
            key, ask = next(self._keys), waiting.popleft()
            under_way[str(key)] = key, ask
            self._add(key, ask)

    def _most_blocks(self, ask: Ask) -> int:
        """That a request may take, and one more in case that vLLM plans ahead."""
        tokens = len(ask.prompt) + (ask.params.max_tokens or 0)
        return self._cache_groups * (-(-tokens // self.facts.block_size) + 1)

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
        ends = {key: ask.end(output) for key, ask, output in done}
        lengths = {key: end.n_tokens for key, end in ends.items()}
        told = self._take(lengths, rows) if self._watched else {}
        answers = []
        for key, ask, output in done:
            found = told.get(str(key), {"report": None, "scores": {}})
            own = None
            if self._records and lengths[key]:
                own = rows.take(key, ask.order(key).first, lengths[key], found["scores"])
            report = None if found["report"] is None else ResponseReport.read(found["report"])
            answers.append(Answer(ask, output, ends[key], own, report))
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


def _no_rows(output: Any) -> ResponseEnd:
    return ResponseEnd(0, "length")
