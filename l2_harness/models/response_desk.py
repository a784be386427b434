"""The desk between lm-eval and an engine: which responses are wanted, and what becomes of them.

    desk = ResponseDesk(requests, evaluation, texts, rules)
    with progress(desk.recall()) as shown:
        for settings, jobs in desk.open_jobs(shown):
            ...                                 # the engine's way to decode them, and then
            desk.take(wanted, FinishedResponse(...))      # in any order, one at a time
            desk.flush()                        # now and then: what is there is on disk
    return desk.answers()

Knows no engine: nothing of batches, devices or caches. A response is recalled from an earlier run,
borrowed from another one, or decoded; it joins its group; a complete group is scored, one of it
chosen, all of it recorded, and lm-eval's request answered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from lm_eval.api.instance import Instance

from l2_harness.config import ConfigError
from l2_harness.config.decoding import check_room
from l2_harness.engines.finished_response import FinishedResponse
from l2_harness.engines.response_end import finish_reason
from l2_harness.interventions.reports import told
from l2_harness.models.broken_numbers import no_numbers
from l2_harness.models.choice import sampled_text
from l2_harness.models.evaluation import Evaluation
from l2_harness.models.generation_settings import GenerationSettings
from l2_harness.models.requests import RequestKey, repeat_numbers, request_keys
from l2_harness.models.response_jobs import PromptJob, WantedResponse
from l2_harness.models.response_text import ResponseTexts
from l2_harness.models.sample_groups import Sample, SampleGroups
from l2_harness.models.terminal_log import terminal_log
from l2_harness.norms.recorded_responses import RecordedResponse
from l2_harness.norms.trace_hash import canonical_json
from l2_harness.norms.trace_samples import SampleKey

#: Generation settings, and the jobs that are to be decoded with them.
OpenJobs = tuple[GenerationSettings, list[PromptJob]]

#: A model is given up where the responses to as many requests, its first, have no number at all.
_MOST_BROKEN = 8


@dataclass(frozen=True)
class DeskRules:
    """What a model says of the requests that it is to answer.

    Attributes:
        num_samples: responses a request.
        choosing: whether one of them is chosen.
        max_length: positions that a prompt and its response share; None where each has its own.
        prompt_tokens: gives a prompt's number of tokens.
        settings: gives a request's generation settings.
        answered: takes a request, its text, and whether that answers it only now (since it was
            drawn, or has no numbers), for ``--use_cache``.
        is_alone: whether no other process has responses too: it is an error then if none has a
            number.
    """

    num_samples: int
    choosing: bool
    max_length: int | None
    prompt_tokens: Callable[[str], int]
    settings: Callable[[Instance], GenerationSettings]
    answered: Callable[[Instance, str, bool], None]
    is_alone: bool = True


class ResponseDesk:
    """The responses to one call of ``generate_until``.

    Args:
        requests: as lm-eval lists them, a request once a repeat.
        evaluation: that they belong to.
        texts: how responses are read.
        rules: what the model says of the requests.
    """

    def __init__(
        self,
        requests: Sequence[Instance],
        evaluation: Evaluation,
        texts: ResponseTexts,
        rules: DeskRules,
    ) -> None:
        self._requests, self._rules, self._texts = requests, rules, texts
        self._evaluation = evaluation
        self._recorder, self._chooser = evaluation.recorder, evaluation.chooser
        self._wanted = self._all_wanted()
        self._open = list(self._wanted)
        self._groups = SampleGroups(self._wanted, requests, rules.num_samples, rules.choosing)
        self._settings: dict[str, GenerationSettings] = {}
        self._job_of: dict[WantedResponse, PromptJob] = {}
        self._answers: dict[int, str] = {}
        self._shown: Callable[[int], object] = _nothing
        self._new = 0
        self._held_back: list[tuple[WantedResponse, FinishedResponse]] = []

    def recall(self) -> int:
        """Take in what an earlier run left; how many responses are still to come."""
        if self._recorder is None:
            return len(self._open)
        found = self._recorder.recall([response.key for response in self._wanted])
        earlier = {
            response: completed
            for response, completed in zip(self._wanted, found, strict=True)
            if completed is not None and completed.response is not None
        }
        samples = self._with_rows([Sample.left(r, c) for r, c in earlier.items()])
        keys = [_key(sample) for sample in samples]
        self._evaluation.count_recalled(keys, (sample.n_tokens for sample in samples))
        for key, sample in zip(keys, samples, strict=True):
            self._recorder.take_over(key, earlier[sample.wanted])
            self._join(sample)
        self._recorder.flush()
        there = {sample.wanted for sample in samples}
        self._open = [response for response in self._wanted if response not in there]
        self._evaluation.tally.numbers |= bool(there)
        return len(self._open)

    def open_jobs(self, shown: Callable[[int], object]) -> list[OpenJobs]:
        """What is to be decoded, by generation settings, the longest prompts first.

        What another run drew (``samples_from``) is taken in before.

        Args:
            shown: is told how many responses are there, as they come.

        Raises:
            ConfigError: a request that cannot be answered.
        """
        self._shown = shown
        jobs = self._jobs()
        self._borrow(jobs)
        left = [(settings, [job for job in own if job.wanted]) for settings, own in jobs]
        return [(settings, own) for settings, own in left if own]

    def take(self, wanted: WantedResponse, finished: FinishedResponse) -> None:
        """A response that an engine has decoded; it is no longer among its job's wanted ones.

        Raises:
            NumbersError: it is one of the first, none of which has a number.
        """
        self._job_of[wanted].wanted.remove(wanted)
        self._new += 1
        self._held_back.append((wanted, finished))
        self._evaluation.tally.numbers |= not finished.broken or len(finished.tokens) > 1
        if self._evaluation.tally.numbers:
            self._receive_held_back()
        elif len({response.request for response, _ in self._held_back}) >= _MOST_BROKEN:
            self._give_up()

    def flush(self) -> None:
        """Put on disk what was taken: a kill after this loses nothing of it.

        Samples whose group goes on are written at once, and what is chosen follows. Where no
        rows are written, a rerun could not choose among them: they wait.
        """
        if self._recorder is not None:
            if self._recorder.keeps_rows:
                for sample in self._groups.unwritten():
                    self._record(sample)
                    sample.written = True
            self._recorder.flush()
        self._shown(self._new)
        self._new = 0

    def answers(self) -> list[str]:
        """What lm-eval gets for each request, once all responses have been taken.

        Raises:
            NumbersError: none of them has a number.
        """
        if self._held_back and self._rules.is_alone:
            self._give_up()
        self._receive_held_back()
        self.flush()
        return [self._answers[position] for position in range(len(self._requests))]

    # -- what is to be done ---------------------------------------------------------------

    def _all_wanted(self) -> list[WantedResponse]:
        """Every sample of every request."""
        n = self._rules.num_samples
        keys = request_keys("generate_until", self._requests)
        repeats = repeat_numbers(self._requests)
        return [
            WantedResponse(i, sample, repeats[i] * n + sample, key and key.with_sample(sample))
            for i, key in enumerate(keys)
            for sample in range(n)
        ]

    def _with_rows(self, samples: Sequence[Sample]) -> list[Sample]:
        """Recalled samples whose groups can be settled: with their rows where these are needed.

        Rows are read only for groups that an interruption left without their choice. Where an
        earlier run recorded no rows, such a group is sampled again.
        """
        assert self._recorder is not None
        usable: list[list[Sample]] = []
        unsettled: list[list[Sample]] = []
        for group, complete in self._groups.by_group(samples):
            settled = complete and self._chooser.is_settled(group)
            (usable if settled else unsettled).append(group)
        rows = self._recorder.recorded_rows([_key(one) for group in unsettled for one in group])
        for group in unsettled:
            for sample in group:
                sample.rows = rows.get(_key(sample).resume)
                if self._rules.choosing:
                    sample.chosen = None
            if all(sample.rows is not None for sample in group):
                usable.append(group)
        return [sample for group in usable for sample in group]

    def _jobs(self) -> list[OpenJobs]:
        jobs: dict[str, dict[str, PromptJob]] = {}
        for response in self._open:
            prompt: str = self._requests[response.request].args[0]
            settings = self._settings_of(response)
            of_settings = jobs.setdefault(self._settings_key(response), {})
            if prompt not in of_settings:
                n_tokens = self._checked_length(response, settings)
                of_settings[prompt] = PromptJob(prompt, n_tokens, [])
            of_settings[prompt].wanted.append(response)
            self._job_of[response] = of_settings[prompt]
        self._tell_repeated_prompts(jobs)
        return [
            (self._settings[key], sorted(own.values(), key=lambda job: (-job.n_tokens, job.prompt)))
            for key, own in jobs.items()
        ]

    def _settings_key(self, response: WantedResponse) -> str:
        gen_kwargs = self._requests[response.request].args[1]
        return canonical_json(gen_kwargs)

    def _settings_of(self, response: WantedResponse) -> GenerationSettings:
        key = self._settings_key(response)
        if key not in self._settings:
            self._settings[key] = self._rules.settings(self._requests[response.request])
        return self._settings[key]

    def _checked_length(self, response: WantedResponse, settings: GenerationSettings) -> int:
        request = self._requests[response.request]
        n_tokens = self._rules.prompt_tokens(request.args[0])
        if n_tokens == 0:
            raise ConfigError(
                f"The prompt of {where(request)} has no tokens, and a model cannot start from "
                "nothing. Check doc_to_text, or pass --apply_chat_template or add_bos_token=True."
            )
        if self._rules.max_length is not None:
            check_room(settings.max_gen_toks, self._rules.max_length, where(request))
        return n_tokens

    def _tell_repeated_prompts(self, jobs: dict[str, dict[str, PromptJob]]) -> None:
        """A random stream belongs to a prompt, so that equal prompts have equal samples."""
        repeated = sum(
            len({id(self._requests[response.request]) for response in job.wanted}) - 1
            for key, own in jobs.items()
            if self._settings[key].do_sample
            for job in own.values()
        )
        if repeated:
            terminal_log.info(
                "%d %s an earlier one: the same text draws the same samples",
                repeated,
                "prompt repeats" if repeated == 1 else "prompts repeat",
            )

    # -- what another run drew ------------------------------------------------------------

    def _borrow(self, jobs: Sequence[OpenJobs]) -> None:
        """Take in what another run sampled."""
        source = self._evaluation.source
        if source is None:
            return
        # a document that a task has twice asks twice for the same sample
        asked: dict[SampleKey, list[WantedResponse]] = {}
        for response in _responses(jobs):
            if response.key is not None:
                key = SampleKey(response.key.resume.request_hash, response.stream)
                asked.setdefault(key, []).append(response)
        for found in source.take(asked.keys()):
            for key, sample in found:
                for response in asked[key]:
                    self.take(response, _borrowed(sample))
            self.flush()

    # -- what becomes of a response -------------------------------------------------------

    def _receive_held_back(self) -> None:
        held_back, self._held_back = self._held_back, []
        for one in held_back:
            self._receive(*one)

    def _receive(self, wanted: WantedResponse, finished: FinishedResponse) -> None:
        if wanted.key is not None:
            self._evaluation.count_generated(len(finished.tokens), finished.report)
        text = finished.text
        if text is None:
            text = self._texts.answer(finished.tokens, self._settings_of(wanted).until)
        thinking_end = self._texts.thinking_end(finished.tokens)
        if finished.broken and wanted.key is not None:
            self._tell_broken(wanted, finished)
        sample = Sample.decoded(wanted, finished, text, thinking_end)
        self._chooser.receive(sample, self._request(sample))
        self._join(sample)

    def _give_up(self) -> NoReturn:
        """A model that has given no number yet is broken; later, single responses are."""
        for one in self._held_back:
            self._tell_broken(*one)
        raise no_numbers(len(self._held_back))

    def _join(self, sample: Sample) -> None:
        """Put a sample into its group; settle the group, record it and answer if it is complete."""
        group = self._groups.add(sample)
        if group is None:
            return
        if all(one.recalled for one in group) and self._chooser.is_settled(group):
            self._chooser.recall(group, self._request(sample))
        else:
            self._chooser.settle(group, self._request(sample))
            for one in group:
                self._record(one)
        for one in group:
            if one.chosen:
                self._reply(one)

    def _reply(self, sample: Sample) -> None:
        """What lm-eval gets for a request."""
        request = self._request(sample)
        self._answers[sample.wanted.request] = sampled_text(sample)
        for_once = self._settings_of(sample.wanted).do_sample or sample.broken
        self._rules.answered(request, sample.text, for_once)

    def _record(self, sample: Sample) -> None:
        """Hand a sample to the recorder; of one that is written, only what was not known then."""
        key, finished = sample.wanted.key, sample.finished
        if self._recorder is None or key is None:
            return
        if sample.written:
            self._recorder.decide(key, sample.scores, bool(sample.chosen))
        elif sample.rows is not None and finished is not None:
            report, n_tokens = finished.report, sample.n_tokens
            self._recorder.add(
                key,
                sample.rows,
                prompt_tokens=finished.prompt_tokens,
                tokens=finished.tokens,
                text=self._texts.decode(finished.tokens),
                response=sample.text,
                answer=sample.answer,
                finish_reason=finished.finish_reason,
                thinking_end=sample.thinking_end,
                events=() if report is None else told(report, n_tokens),
                scores=sample.scores,
                chosen=bool(sample.chosen),
            )

    def _tell_broken(self, wanted: WantedResponse, finished: FinishedResponse) -> None:
        self._evaluation.broken.tell(
            f"{where(self._requests[wanted.request])}, sample {wanted.sample}",
            len(finished.tokens) - 1,
            finished.broken_norms if finished.rows is None else finished.rows.norms[-1],
            "it is cut off there",
        )

    def _request(self, sample: Sample) -> Instance:
        return self._requests[sample.wanted.request]


def where(request: Instance) -> str:
    """The request, for messages."""
    return f"task {request.task_name}, document {request.doc_id}"


def _responses(jobs: Collection[OpenJobs]) -> list[WantedResponse]:
    return [response for _, own in jobs for job in own for response in job.wanted]


def _borrowed(sample: RecordedResponse) -> FinishedResponse:
    """A sample that another run decoded, as if it had been decoded now."""
    assert sample.finish_reason is not None, "a generated response has one"
    return FinishedResponse(
        sample.prompt_tokens,
        sample.tokens.tolist(),
        finish_reason(sample.finish_reason),
        sample.rows,
        broken=sample.rows.first_broken is not None,
    )


def _key(sample: Sample) -> RequestKey:
    """Of a recalled sample, which was found by it."""
    assert sample.wanted.key is not None
    return sample.wanted.key


def _nothing(n_responses: int) -> None:
    """Nothing is shown while earlier responses are taken over."""
