"""The protocol as an agent meets it, over a world of known truth: claims are proposed, registered, tested by rule.

Everything but the effects is the real thing: the log with its constraints, triggers and chain, the battery with its
constants, prompts drawn from a behaviour with seeds that the agent cannot know, the registered stopping rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lakatos.agent.simulation.registered import Test, calibrated
from lakatos.agent.simulation.world import BEHAVIOUR, THRESHOLD, Floats, World, place
from lakatos.experiments_db.log import Conflict, Duplicate, Proposal, Registration, Share, Stream, open_engine, register
from lakatos.experiments_db.store import Store
from lakatos.tools.behaviour import PromptPair
from lakatos.tools.claim import Hypothesis, NodeEffect, claim_hash, draw_matched, read_hypothesis
from lakatos.tools.claim.measures import CORRUPTED, INTERVENED, of_match
from lakatos.tools.errors import ProposalError, UserError
from lakatos.tools.evidence import Data, Evidence, Reach, Values, crashed, run_tests, split_values
from lakatos.tools.records import content_hash
from lakatos.tools.statistics import BATCH, MIN_EXPLORATION

MODEL = "simulated"
WEIGHTS = content_hash(MODEL)

Watch = Callable[[int, int, float], None]  # hypothesis, prompts so far, e-value so far; what it raises is a crash


@dataclass(frozen=True)
class _Draw:
    """A draw of a stream with simulated measurements, by claim."""

    number: int
    drawn_at: str
    pairs: tuple[PromptPair, ...]
    measured: tuple[Data, ...]

    def data(self, place: int, /) -> Data:
        return self.measured[place]


class Laboratory:
    """What the public interface gives an agent.

    Args:
        world: where effects come from.
        slots: how many claims may be registered.
        n_max: the most prompts that a test may use.
        secret_seed: of the study's secret.
        planned: how many claims the study says beforehand that it will register.
        own_streams: test every claim on a stream of its own.
    """

    def __init__(
        self,
        world: World,
        slots: int,
        n_max: int,
        alpha: float,
        secret_seed: str,
        planned: int | None = None,
        own_streams: bool = False,
    ) -> None:
        self.world, self.slots, self.n_max, self.own_streams = world, slots, n_max, own_streams
        self.store = Store(open_engine("sqlite://"), alpha=alpha, secret_seed=secret_seed, planned=planned)
        self.registered: dict[int, Test] = {}
        self.refused = 0
        self._measured: dict[int, list[Data]] = {}
        self._reach: dict[int, Reach] = {}  # of extended tests
        self._without: dict[int, frozenset[str]] = {}  # prompts that a stream passes over
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

    def test(self, hypotheses: Sequence[int], watch: Watch = lambda _hypothesis, _n, _e: None) -> list[Evidence]:
        """Test claims on one stream of fresh prompts, each by its registered rule. A crash is a claim's evidence.

        Tests that were interrupted go on, on the stream that they have; those that were extended, on another.
        """
        if self.own_streams:
            return [self._test([hypothesis], watch)[0] for hypothesis in hypotheses]
        return self._test(hypotheses, watch) if hypotheses else []

    def extend(self, hypothesis: int, pairs: int) -> None:
        """Let a test that ended without success go on, for so many more pairs in whole batches; `test` does so.

        Raises:
            Conflict: it has not ended for want of pairs or for futility.
        """
        begun = BATCH * len(self._measured[hypothesis])
        self.store.add_extension(hypothesis, begun, pairs)
        self._reach[hypothesis] = Reach.extended(begun, pairs)

    def confirmed(self) -> set[int]:
        """The hypotheses that the study confirms so far."""
        return {number for number, judged in self.store.judgements().items() if judged.state == "confirmed"}

    def open(self, hypotheses: Sequence[int]) -> Stream:
        """Open a stream of prompts for registered claims. Raises Conflict: one of them has one."""
        return self.store.open_stream([self.registered[h].identity for h in sorted(hypotheses)])

    def take(self, hypothesis: int, stream: Stream) -> None:
        """Try to add a draw of a stream to a test, whether or not the claim belongs to it.

        Raises:
            Conflict: it does not, or its evidence is frozen.
        """
        draw = self._draw(stream, self.store.drawn(stream.id), [hypothesis])
        self._append(stream, [hypothesis], draw, [[*self._measured.get(hypothesis, []), draw.measured[0]]])

    def stream_of(self, hypothesis: int) -> Stream | None:
        """The newest stream of a claim, if it has one."""
        streams = self._streams_of(hypothesis)
        return streams[-1] if streams else None

    def prolong(self, hypothesis: int) -> None:
        """Try to add a draw of its own stream to a test. Raises Conflict: its evidence is frozen."""
        stream = self.stream_of(hypothesis)
        assert stream is not None
        self.take(hypothesis, stream)

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

    def _test(self, hypotheses: Sequence[int], watch: Watch) -> list[Evidence]:
        stream = self._stream(hypotheses)
        done = [self._measured.setdefault(h, []) for h in hypotheses]
        died: dict[int, RuntimeError] = {}

        def keep(draw: _Draw, alive: Sequence[int], data: Sequence[Sequence[Data]]) -> None:
            after = self._append(stream, [hypotheses[k] for k in alive], draw, data)
            for k, so_far in zip(alive, data, strict=True):
                done[k].append(so_far[-1])
            for k, e in zip(alive, after, strict=True):
                try:
                    watch(hypotheses[k], BATCH * len(done[k]), e)
                except RuntimeError as error:
                    died[k] = error

        def stops(k: int, so_far: Sequence[Data]) -> str | None:
            hypothesis = hypotheses[k]
            return "crashed" if k in died else self.registered[hypothesis].stopped(so_far, self._reach.get(hypothesis))

        def measured(numbers: range, alive: Sequence[int]) -> list[_Draw]:
            return [self._draw(stream, number, [hypotheses[k] for k in alive]) for number in numbers]

        run_tests(
            [partial(stops, k) for k in range(len(hypotheses))],
            measured,
            keep,
            [list(own) for own in done],
            self.store.drawn(stream.id),
        )
        return [self._freeze(h, died.get(k)) for k, h in enumerate(hypotheses)]

    def _streams_of(self, hypothesis: int) -> list[Stream]:
        identity = self.registered[hypothesis].identity
        return [stream for stream in self.store.streams() if identity in stream.members]

    def _stream(self, hypotheses: Sequence[int]) -> Stream:
        """The stream that tests go on with, or a new one where they have none or were extended since."""
        streams, extended = self._streams_of(hypotheses[0]), len(self.store.extensions(hypotheses[:1]))
        return streams[-1] if len(streams) > extended else self.open(hypotheses)

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
        self.registered[row.id] = Test(claim, battery, row.prediction().threshold, identity)
        return row.id

    def _draw(self, stream: Stream, number: int, hypotheses: Sequence[int]) -> _Draw:
        """Draw and measure prompts for some claims."""
        drawn_at = self.store.time()
        if stream.id not in self._without:
            self._without[stream.id] = self.store.passed_over(stream)
        seed, without = int(stream.seed), self._without[stream.id]
        pairs = BEHAVIOUR.sample(BATCH, seed, "confirmation", skip=BATCH * number, without=without).pairs
        places, templates = [place(pair) for pair in pairs], tuple(pair.template for pair in pairs)
        tests = [self.registered[h] for h in hypotheses]
        values = [self.world.measure(t.claim, t.battery.matched, places, "confirmation") for t in tests]
        return _Draw(number, drawn_at, pairs, tuple(Data(own, templates) for own in values))

    def _append(
        self, stream: Stream, hypotheses: Sequence[int], draw: _Draw, data: Sequence[Sequence[Data]]
    ) -> list[float]:
        """Append a draw; the e-value of each claim after it."""
        common: Values = {}
        shares = []
        for hypothesis, so_far in zip(hypotheses, data, strict=True):
            test = self.registered[hypothesis]
            shared, own = split_values(test.claim, so_far[-1].values)
            common |= shared
            after = test.e(so_far)
            shares.append(Share(hypothesis, len(so_far) - 1, own, after, engine="simulated", forwards=0.0, seconds=0.0))
        self.store.add_draw(stream, draw.number, draw.drawn_at, draw.pairs, common, shares)
        return [share.e_after for share in shares]

    def _freeze(self, hypothesis: int, error: RuntimeError | None) -> Evidence:
        test, data = self.registered[hypothesis], Data.join(self._measured[hypothesis])
        if error is None:
            evidence = test.conclude(data, self._reach.get(hypothesis))
        else:
            evidence = crashed(f"{type(error).__name__}: {error}", n=len(data))
        self.store.freeze(hypothesis, evidence)
        return evidence
