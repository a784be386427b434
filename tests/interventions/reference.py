"""The interventions written out from DESIGN's definitions: one response, one row, plain loops.

Shares nothing with the package but the names of the settings.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Vector = np.ndarray
Again = Callable[[Vector], Vector]
_64 = 2**64


def key_of(seed: int, prompt_hash: str, sample: int) -> int:
    digest = hashlib.sha256(f"{seed}|{prompt_hash}|{sample}".encode()).digest()
    return sum(byte << (8 * i) for i, byte in enumerate(digest[:8]))


def mix(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % _64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % _64
    return z ^ (z >> 31)


GOLDEN = 0x9E3779B97F4A7C15
PURPOSES = [
    "recursion_moment",
    "steering_moment",
    "steering_random_moment",
    "steering_vector",
    "suppression_moment",
    "suppression_layer",
]


def bits(key: int, purpose: str, layer: int, row: int) -> int:
    base = mix((key + (PURPOSES.index(purpose) + 1) * GOLDEN) % _64)
    return mix((base + ((layer << 32) + row + 1) * GOLDEN) % _64)


def uniform(key: int, purpose: str, layer: int, row: int) -> float:
    return (bits(key, purpose, layer, row) >> 11) / 2**53


def element_bits(seed: int, size: int) -> list[int]:
    return [mix((seed + (j + 1) * GOLDEN) % _64) for j in range(size)]


def gaussian(seed: int, size: int) -> Vector:
    values = []
    for hashed in element_bits(seed, size):
        first, second = ((hashed >> 32) + 0.5) / 2**32, (hashed % 2**32) / 2**32
        values.append(math.sqrt(-2 * math.log(first)) * math.cos(2 * math.pi * second))
    return np.array(values)


def shuffle(seed: int, vector: Vector) -> Vector:
    signed = [b - _64 if b >= _64 // 2 else b for b in element_bits(seed, len(vector))]
    return np.array([vector[j] for j in sorted(range(len(vector)), key=signed.__getitem__)])


def norm32(h: Vector) -> float:
    if not np.isfinite(h).all():
        return math.nan
    with np.errstate(over="ignore"):
        n = float(np.float32(math.sqrt(sum(float(x) * float(x) for x in h))))
    return n if math.isfinite(n) else math.nan


class Pool:
    """What the responses of a run share in scope pooled: by layer, norms; and a count."""

    def __init__(self) -> None:
        self.norms: dict[int, list[float]] = defaultdict(list)
        self.rows = 0


class ReferenceResponse:
    """One response at all layers, settings as in ``InterventionConfig.as_dict()``."""

    def __init__(
        self,
        settings: dict[str, Any],
        key: int,
        prompt_tokens: int = 1,
        scored: bool = False,
        pool: Pool | None = None,
        layers: Sequence[int] = (),
    ) -> None:
        self.s = settings
        self.key = key
        self.prompt_tokens = prompt_tokens
        self.scored = scored
        self.pool = pool
        self.layers = list(layers)
        self.prompt_counts = scored or settings["threshold_prompt"]
        self.counters: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(int))
        self.events: list[tuple[Any, ...]] = []
        self.norms: dict[int, list[float]] = defaultdict(list)
        self.context: dict[int, list[float]] = defaultdict(list)
        self.bank: dict[int, list[list[Any]]] = defaultdict(list)
        self.streak: dict[int, int] = defaultdict(int)
        self.ready_at: dict[int, int] = defaultdict(int)
        self.distances: dict[int, list[float]] = defaultdict(list)
        self.before: dict[int, Vector] = {}
        self.changes: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
        self.after: dict[int, list[float]] = defaultdict(list)
        self.own_norms: dict[int, dict[int, float]] = defaultdict(dict)
        self.credit: dict[tuple[str, int], int] = defaultdict(int)
        self.owed: dict[int, int] = defaultdict(int)
        self.lost = 0
        self.directions: dict[int, Vector | None] = defaultdict(lambda: None)

    # -- thresholds ---------------------------------------------------------------------------

    def context_row(self, layer: int, h: Vector) -> None:
        if self.prompt_counts:
            self.context[layer].append(norm32(h))

    def take_context(self, layer: int) -> None:
        """All prompt rows but the first position and those above ten times their median."""
        norms = [n for n in self.context.pop(layer, [])[1:] if math.isfinite(n)]
        if norms:
            median = sorted(norms)[(len(norms) - 1) // 2]
            kept = [n for n in norms if n <= 10 * median]
            (self.norms if self.pool is None else self.pool.norms)[layer] += kept

    def take_norm(self, layer: int, h: Vector) -> None:
        n = norm32(h)
        if math.isfinite(n):
            (self.norms if self.pool is None else self.pool.norms)[layer].append(n)

    def seen(self, layer: int) -> list[float]:
        return (self.norms if self.pool is None else self.pool.norms)[layer]

    def tau(self, layer: int) -> float:
        if self.s["threshold"] == "fixed":
            values = dict(item.split(":") for item in self.s["threshold_values"].split("+"))
            return float(values[str(layer)])
        seen = self.seen(layer)
        if not seen:
            return math.nan
        q1, q3 = np.quantile(seen, [0.25, 0.75])
        return float(q3 + self.s["threshold_k"] * max(q3 - q1, 1e-3))

    def editable(self, technique: str, row: int) -> bool:
        name = "threshold_warmup" if technique == "suppression" else f"{technique}_warmup"
        number = row + 1 + (self.prompt_tokens - 1 if self.prompt_counts else 0)
        if self.pool is not None:
            number = self.pool.rows
        return number > self.s[name] and (row >= 1 or self.scored)

    def note_change(
        self, technique: str, layer: int, row: int, before: Vector, after: Vector, changed: bool
    ) -> float:
        """‖after − before‖/‖before‖, added up with its row."""
        size = norm32(before)
        change = norm32(after - before) / size if changed and size > 0 else 0.0
        self.counters[layer][f"{technique}_change"] += change
        if changed:
            self.changes[technique, layer][row] = change
        self.counters[layer][f"{technique}_places"] += row if changed else 0
        return change

    def finish(self, layer: int) -> None:
        """The doses: ‖Δ‖/‖h‖ of the edits at rows of at most ten times the median norm."""
        norms = self.own_norms[layer]
        sinks = {r for r, n in norms.items() if n > 10 * float(np.median(list(norms.values())))}
        highest = max(norms.values(), default=math.inf)
        self.counters[layer]["recursion_beyond"] = sum(n > highest for n in self.after[layer])
        for (technique, where), changes in self.changes.items():
            if where == layer:
                kept = [change for row, change in changes.items() if row not in sinks]
                self.counters[layer][f"{technique}_dose"] = sum(kept)
                self.counters[layer][f"{technique}_dosed"] = len(kept)

    # -- one row ------------------------------------------------------------------------------

    def step(self, layer: int, row: int, h: Vector, again: Again, enter: bool = True) -> Vector:
        """``enter`` is False where the norm has entered already (scope pooled)."""
        self.take_context(layer)
        if enter and (not self.scored or row == 0):
            self.take_norm(layer, h)
        n, tau = norm32(h), self.tau(layer)
        finite = math.isfinite(n)
        if finite:
            self.own_norms[layer][row] = n
        peak = finite and n > tau
        counters = self.counters[layer]
        counters["rows"] += 1
        counters["peaks"] += peak
        may_edit = any(
            self.s[name] != "off" and self.editable(name, row)
            for name in ("recursion", "suppression", "steering")
        )
        counters["editable_rows"] += may_edit
        counters["editable_peaks"] += may_edit and peak
        counters["non_finite"] += not finite
        out = self.recursion(layer, row, h, n, tau, finite, peak, again)
        out = self.suppression(layer, row, out, n, tau, finite, peak)
        return self.steering(layer, row, out, tau)

    # -- recursion ----------------------------------------------------------------------------

    def recursion(
        self,
        layer: int,
        row: int,
        h: Vector,
        n: float,
        tau: float,
        finite: bool,
        peak: bool,
        again: Again,
    ) -> Vector:
        s = self.s
        if s["recursion"] in ("off", "entropy") or not self.editable("recursion", row):
            return h
        by_norm = peak and n < s["recursion_max_ratio"] * tau
        open_ = {"norm": by_norm, "always": finite}.get(s["recursion"])
        if open_ is None:
            open_ = self.spend("recursion", layer, row, earned=by_norm, allowed=finite)
        if not open_:
            return h
        counters = self.counters[layer]
        counters["gates_opened"] += 1
        passes = accepted = 0
        current, size = h, n
        for _ in range(s["recursion_max_passes"]):
            new = again(current)
            passes += 1
            m = norm32(new)
            counters["non_finite"] += not math.isfinite(m)
            inside = tau < m < s["recursion_max_ratio"] * tau
            if not (inside and (m - size) / size >= s["recursion_min_growth"]):
                break
            accepted += 1
            alpha = s["recursion_alpha"]
            current = (1 - alpha) * current + alpha * new
            size = norm32(current)
        if accepted:
            counters["recursion_growth"] += size / n
            self.after[layer].append(size)
        counters["passes_run"] += passes
        counters["passes_accepted"] += accepted
        change = self.note_change("recursion", layer, row, h, current, accepted > 0)
        counters["recursion_changed"] += accepted > 0
        self.events.append((row, layer, "recursion", accepted, (passes, n, tau, change)))
        return current

    def spend(self, technique: str, layer: int, row: int, earned: bool, allowed: bool) -> bool:
        have = self.credit[technique, layer]
        draw = uniform(self.key, f"{technique}_moment", layer, row)
        taken = allowed and draw < have / 2
        self.credit[technique, layer] += earned - taken
        self.counters[layer][f"{technique}_credits_left"] = self.credit[technique, layer]
        return taken

    def top(
        self, layer: int, row: int, h: Vector, again: Again, log_probs: Callable[[Vector], Vector]
    ) -> Vector:
        s = self.s
        if s["recursion"] != "entropy" or not self.editable("recursion", row):
            return h
        start, old = h, log_probs(h)
        entropy = -sum(math.exp(x) * x for x in old if x > -math.inf)
        if not (math.isfinite(norm32(h)) and entropy > s["recursion_entropy"]):
            return h
        counters = self.counters[layer]
        passes = kept = 0
        for _ in range(s["recursion_max_passes"]):
            new = again(h)
            passes += 1
            if not math.isfinite(norm32(new)):
                counters["non_finite"] += 1
                break
            kept += 1
            alpha = s["recursion_alpha"]
            h = (1 - alpha) * h + alpha * new
            probs = log_probs(h)
            both = zip(probs, old, strict=True)
            moved = sum(math.exp(x) * (x - y) for x, y in both if x > -math.inf)
            old = probs
            if moved < s["recursion_tolerance"]:
                break
        counters["gates_opened"] += 1
        counters["passes_run"] += passes
        counters["passes_accepted"] += kept
        change = self.note_change("recursion", layer, row, start, h, kept > 0)
        counters["recursion_changed"] += kept > 0
        self.events.append((row, layer, "entropy", kept, (passes, entropy, change)))
        return h

    # -- suppression --------------------------------------------------------------------------

    def suppression(
        self, layer: int, row: int, h: Vector, n: float, tau: float, finite: bool, peak: bool
    ) -> Vector:
        s = self.s
        if s["suppression"] == "off":
            return h
        usual = self.directions[layer]
        if s["suppression_mode"] == "angle" and finite and not peak and norm32(h) > 0:
            before = np.zeros(len(h)) if usual is None else usual
            self.directions[layer] = before + h / norm32(h)
        may = finite and self.editable("suppression", row)
        if s["suppression_mode"] == "angle":
            may = may and usual is not None
        if s["suppression"] == "peaks":
            chosen = may and peak
        elif s["suppression"] == "shuffled":
            chosen = self.shuffled(layer, row, may and peak, may and not peak)
        elif self.editable("suppression", row):
            chosen = self.spend("suppression", layer, row, may and peak, may and not peak)
        else:
            chosen = False
        if not chosen:
            return h
        self.counters[layer]["suppressed"] += 1
        edited = self.suppressed(layer, h, tau, usual)
        change = self.note_change("suppression", layer, row, h, edited, True)
        self.events.append((row, layer, "suppression", n, (tau, change)))
        return edited

    def shuffled(self, layer: int, row: int, earned: bool, allowed: bool) -> bool:
        """A layer that has run gets to see what it is owed in the next row, others in this one."""
        taken = allowed and self.owed[layer] > 0
        self.owed[layer] -= taken
        if earned:
            later = [m for m in self.layers if m > layer]
            others = later if self.scored else [m for m in self.layers if m != layer]
            draw = uniform(self.key, "suppression_layer", layer, row)
            if others:
                self.owed[others[int(draw * len(others))]] += 1
            else:  # owed to nobody: it stays where the reports show it
                self.lost += 1
        for m in self.layers:
            left = self.owed[m] + (self.lost if m == self.layers[-1] else 0)
            self.counters[m]["suppression_credits_left"] = left
        return taken

    def suppressed(self, layer: int, h: Vector, tau: float, usual: Vector | None) -> Vector:
        f, mode = self.s["suppression_factor"], self.s["suppression_mode"]
        size = norm32(h)
        if mode == "scale":
            return f * h
        if mode == "clamp":
            return h * min(1.0, f * tau / size)
        if mode == "norm":
            return h * ((f * size + (1 - f) * float(np.quantile(self.seen(layer), 0.5))) / size)
        assert usual is not None
        direction = f * h / size + (1 - f) * usual / math.sqrt(float(usual @ usual))
        return size * direction / math.sqrt(float(direction @ direction))

    # -- steering -----------------------------------------------------------------------------

    def steering(self, layer: int, row: int, h: Vector, tau: float) -> Vector:
        s = self.s
        if s["steering"] == "off":
            return h
        n = norm32(h)
        low = n < self.low_threshold(layer, tau)
        self.streak[layer] = self.streak[layer] + 1 if low else 0
        counters = self.counters[layer]
        trigger = s["steering_trigger"]
        if trigger == "low":
            calls, pulled = (
                self.streak[layer] == s["steering_patience"],
                self.streak[layer] >= s["steering_patience"],
            )
        elif trigger == "peak":
            calls = pulled = math.isfinite(n) and n > tau
        else:
            calls = pulled = self.jump(layer, h)
        counters["streaks"] += calls
        out = self.injected(layer, row, h, n, pulled)
        self.keep(layer, h, n, tau)
        counters["bank_size"] = len(self.bank[layer])
        return out

    def jump(self, layer: int, h: Vector) -> bool:
        before, self.before[layer] = self.before.get(layer), h
        if before is None:
            return False
        distance = norm32(h - before)
        if not math.isfinite(distance):
            return False
        seen = self.distances[layer]
        seen.append(distance)
        return bool(distance > np.mean(seen) + self.s["steering_jump"] * np.std(seen))

    def low_threshold(self, layer: int, tau: float) -> float:
        low = self.s["steering_low"]
        if not low.startswith("q"):
            return float(low) * tau
        seen = self.seen(layer)
        return float(np.quantile(seen, float(low[1:]))) if seen else math.nan

    def injected(self, layer: int, row: int, h: Vector, n: float, pulled: bool) -> Vector:
        s = self.s
        best = self.closest(layer, h, n)
        close = best is not None and best[0] >= s["steering_min_cosine"]
        editable = self.editable("steering", row)
        triggered = (
            editable
            and pulled
            and row >= self.ready_at[layer]
            and uniform(self.key, "steering_moment", layer, row) < s["steering_probability"]
            and close
        )
        act = triggered
        if s["steering"] == "random":
            patience = s["steering_patience"] if s["steering_trigger"] == "low" else 1
            gap = max(patience, s["steering_cooldown"])
            draw = uniform(self.key, "steering_random_moment", layer, row)
            chance = min(1.0, max(1 / 2, 2 / gap))
            act = editable and self.credit["s", layer] > 0 and draw < chance and close
            self.credit["s", layer] += triggered - act
            self.counters[layer]["steering_credits_left"] = self.credit["s", layer]
        if triggered:
            self.streak[layer] = 0
            self.ready_at[layer] = row + s["steering_cooldown"]
        if not act:
            return h
        assert best is not None
        cosine, stored_norm, stored = best
        self.counters[layer]["injections"] += 1
        beta = s["steering_strength"]
        v = self.source(layer, row, stored, stored_norm)
        mixed = (1 - beta) * h + beta * v if s["steering_mode"] == "blend" else h + beta * v
        if s["steering_source"] == "sae":
            direction = np.load(s["steering_directions"])[str(layer)]
            away = math.sqrt(float((mixed - h) @ (mixed - h)))
            mixed = h + away * direction / math.sqrt(float(direction @ direction))
        change = self.note_change("steering", layer, row, h, mixed, True)
        self.events.append((row, layer, "injection", cosine, (n, stored_norm, change)))
        return mixed

    def closest(self, layer: int, h: Vector, n: float) -> tuple[float, float, Vector] | None:
        if not self.bank[layer] or not math.isfinite(n) or n == 0:
            return None
        found = [(float(v @ h) / (m * n), m, v) for m, v in self.bank[layer]]
        return max(found, key=lambda item: item[:2])

    def source(self, layer: int, row: int, stored: Vector, stored_norm: float) -> Vector:
        seed = bits(self.key, "steering_vector", layer, row)
        if self.s["steering_source"] == "shuffled":
            return shuffle(seed, stored)
        if self.s["steering_source"] == "gaussian":
            g = gaussian(seed, len(stored))
            return g * (stored_norm / math.sqrt(float(g @ g)))
        return stored

    def keep(self, layer: int, h: Vector, n: float, tau: float) -> None:
        bank = self.bank[layer]
        if not (math.isfinite(n) and n > tau):
            return
        bank.append([n, h])
        if len(bank) > self.s["steering_bank"]:
            del bank[min(range(len(bank)), key=lambda i: bank[i][0])]
