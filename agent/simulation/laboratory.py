"""The protocol as an agent meets it, over a world of known truth: claims are proposed, registered, tested by rule.

Everything but the effects is the real thing: the log with its constraints, triggers and chain, the battery with its
constants, prompts drawn from a behaviour with seeds that the agent cannot know, the registered stopping rule.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lakatos.agent.simulation.world import BEHAVIOUR, THRESHOLD, Floats, World, place
from lakatos.experiments_db.log import Conflict, Duplicate, Proposal, Registration, prompt_rows, register, seed_key
from lakatos.experiments_db.store import Store, open_store
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.claim import Hypothesis, NodeEffect, claim_hash, draw_matched, read_hypothesis
from lakatos.tools.claim.measures import CORRUPTED, INTERVENED, of_match
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import (
    Battery,
    Data,
    Evidence,
    conclude,
    crashed,
    e_process,
    fixed,
    gaps,
    run_tests,
    stopped,
)
from lakatos.tools.records import content_hash
from lakatos.tools.statistics import BATCH, MIN_EXPLORATION

MODEL = "simulated"
WEIGHTS = content_hash(MODEL)

Watch = Callable[[int, int, float], None]  # hypothesis, prompts so far, e-value so far; what it raises is a crash


@dataclass(frozen=True)
class Test:
    """A registered claim with the constants of its test."""

    claim: NodeEffect
    battery: Battery
    threshold: float
    identity: str
    seed: int

    __test__ = False  # it is not one of pytest's


@dataclass(frozen=True)
class _Batch:
    """A batch of simulated measurements."""

    number: int
    drawn_at: str
    pairs: tuple[PromptPair, ...]
    values: Data

    def data(self, _place: int, /) -> Data:
        """What the stopping rule reads."""
        return self.values


class Laboratory:
    """What the public interface gives an agent.

    Args:
        world: where effects come from.
        slots: how many claims may be registered.
        n_max: the most prompts that a test may use.
        secret_seed: of the study's secret.
    """

    def __init__(self, world: World, slots: int, n_max: int, alpha: float, secret_seed: str) -> None:
        self.world, self.slots, self.n_max = world, slots, n_max
        self.store: Store = open_store("sqlite://", alpha=alpha, secret_seed=secret_seed)
        self.registered: dict[int, Test] = {}
        self.refused = 0
        self._measured: dict[int, list[Data]] = {}
        self._proposed = 0
        self._explored = [place(pair) for pair in BEHAVIOUR.sample(MIN_EXPLORATION, world.seed)]
        self._run = self.store.begin_run(
            behaviour=BEHAVIOUR.name,
            behaviour_hash=BEHAVIOUR.hash,
            behaviour_definition=BEHAVIOUR.model_dump(mode="json"),
            controls={},
            model=MODEL,
            weights=WEIGHTS,
            proposer="simulated",
            seed=str(world.seed),
            config={},
            environment={},
        )

    @property
    def left(self) -> int:
        """Slots that are not spent."""
        return self.slots - len(self.registered)

    def claim(self, components: Sequence[str], **fields: Any) -> dict[str, Any]:
        """A proposal: that patching the components moves the metric."""
        return {"claim": {"kind": "node_effect", "components": list(components), "threshold": THRESHOLD, **fields}}

    def explore(self, components: Sequence[str]) -> Floats:
        """The effects of the components on the exploration prompts, in logits."""
        return self.world.effect(components, "exploration")[self._explored]

    def propose(self, proposals: Sequence[dict[str, Any]]) -> list[int | None]:
        """Put claims forward. For each: the number of the hypothesis, or None where it was refused."""

        rows = self.store.propose(self._run.id, 1, proposals, first=self._proposed)
        self._proposed += len(rows)
        return [self._judge(row) for row in rows]

    def test(self, hypothesis: int, watch: Watch = lambda _hypothesis, _n, _e: None) -> Evidence:
        """Test a claim on fresh prompts by its registered rule. A crash is its evidence."""
        test = self.registered[hypothesis]
        done = self._measured.setdefault(hypothesis, [])
        stream = itertools.islice(BEHAVIOUR.stream(test.seed, "confirmation"), BATCH * len(done), None)

        def keep(batch: _Batch, _alive: Sequence[int], so_far: Sequence[Sequence[Data]]) -> None:
            e = self._append(hypothesis, batch, so_far[0])
            done.append(batch.values)
            watch(hypothesis, BATCH * len(done), e)

        try:
            run_tests(
                [partial(stopped, test.claim, test.battery, test.threshold)],
                lambda numbers, _alive: [self._batch(hypothesis, number, stream) for number in numbers],
                keep,
                [done],
                first=len(done),
            )
        except RuntimeError as error:
            evidence = crashed(f"{type(error).__name__}: {error}", n=BATCH * len(done))
        else:
            evidence = conclude(test.claim, test.battery, test.threshold, Data.join(done), test.identity)
        self.store.freeze(hypothesis, evidence)
        return evidence

    def prolong(self, hypothesis: int) -> None:
        """Try to add a batch to a test.

        Raises:
            Conflict: its evidence is frozen.
        """
        done = self._measured[hypothesis]
        stream = BEHAVIOUR.stream(self.registered[hypothesis].seed, "confirmation")
        batch = self._batch(hypothesis, len(done), itertools.islice(stream, BATCH * len(done), None))
        self._append(hypothesis, batch, [*done, batch.values])

    def attempt(self, act: Callable[[], None]) -> None:
        """Try what the database refuses, and count the refusal.

        Raises:
            AssertionError: it was not refused.
        """
        try:
            act()
        except Conflict:
            self.refused += 1
        else:
            raise AssertionError("the database let an agent break its rules")

    def seen(self, hypothesis: int) -> dict[str, Floats]:
        """The numbers that a test has revealed, per prompt: of the claim, and of each matched random pair of heads."""
        test, values = self.registered[hypothesis], Data.join(self._measured[hypothesis]).values
        found = {
            others: values[of_match(k)] - values[CORRUPTED] for k, others in enumerate(test.battery.matched["random"])
        }
        return {"+".join(test.claim.components): values[INTERVENED] - values[CORRUPTED], **found}

    def _judge(self, proposal: Proposal) -> int | None:
        kind, twin = "malformed", None
        try:
            hypothesis = read_hypothesis(proposal.proposal, BEHAVIOUR.name)
            kind = "untestable"
            return self._register(hypothesis, proposal.id)
        except (ProposalError, UserError) as error:
            if isinstance(error, Duplicate):
                kind, twin = "duplicate", error.duplicate_of
            self.store.refuse(proposal.id, kind, str(error), twin)
            self.refused += 1
            return None

    def _register(self, hypothesis: Hypothesis, proposal_id: int) -> int:
        claim, study = hypothesis.claim, self.store.study
        if not isinstance(claim, NodeEffect):
            raise UserError(f"a simulated world knows effects of nodes alone, and nothing of {claim.kind}")
        identity = claim_hash(claim, weights=WEIGHTS, behaviour=BEHAVIOUR.hash, controls={}, study=study.name)
        twins = self.store.with_hash(identity.removeprefix("sha256:"))
        if twins:
            raise Duplicate(twins[0])
        if not self.left:
            raise UserError("every slot of this study is spent")
        matched = draw_matched(claim, self.world.shape, str(self.store.seed(identity, "matched")))
        battery, explored = calibrated(self.world, claim, matched, self._explored, self.n_max)
        row = register(
            self.store,
            Registration(
                run=self._run,
                proposal_id=proposal_id,
                hypothesis=hypothesis,
                claim_hash=identity,
                battery=battery,
                explored=explored,
                shape=self.world.shape,
                cap=self.n_max,
                templates=len(BEHAVIOUR.templates_of("confirmation")),
            ),
        )
        prediction = row.prediction()
        seed = self.store.seed(seed_key(identity, prediction.nonce), "pairs")
        self.registered[row.id] = Test(claim, battery, prediction.threshold, identity, seed)
        return row.id

    def _batch(self, hypothesis: int, number: int, stream: Iterator[PromptPair]) -> _Batch:
        """Draw and measure the next batch."""
        test, drawn_at = self.registered[hypothesis], self.store.time()
        pairs = tuple(itertools.islice(stream, BATCH))
        places = [place(pair) for pair in pairs]
        values = self.world.measure(test.claim, test.battery.matched, places, "confirmation")
        return _Batch(number, drawn_at, pairs, Data(values, tuple(pair.template for pair in pairs)))

    def _append(self, hypothesis: int, batch: _Batch, so_far: Sequence[Data]) -> float:
        """Append a batch; the e-value after it."""
        test = self.registered[hypothesis]
        e = float(e_process(test.claim, test.battery, Data.join(so_far))[-1])
        self.store.add_batch(
            hypothesis,
            prompt_rows(test.identity, batch.pairs, batch.values.values),
            number=batch.number,
            seed=str(test.seed),
            drawn_at=batch.drawn_at,
            e_after=e,
            engine="simulated",
            forwards=0.0,
            seconds=0.0,
        )
        return e


def calibrated(
    world: World, claim: NodeEffect, matched: dict[str, tuple[str, ...]], places: Sequence[int], n_max: int
) -> tuple[Battery, Data]:
    """The constants of a claim's test, and the exploration numbers that they come from."""
    template = BEHAVIOUR.templates_of("exploration")[0]
    explored = Data(world.measure(claim, matched, places, "exploration"), (template,) * len(places))
    gap, control_gaps = gaps(explored.values, {})
    draft = Battery.draft(gap, control_gaps, matched)
    return fixed(claim, draft, explored, n_max, len(BEHAVIOUR.templates_of("confirmation"))), explored
