"""Mechanisms made by hand, for pictures and words: what a real study would find, and what no study should."""

from __future__ import annotations

import random
from dataclasses import replace

from lakatos.experiments_db.mechanism import (
    Absent,
    Backup,
    Circuit,
    Explained,
    Looks,
    Mechanism,
    Node,
    Open,
    Path,
    Reading,
    Share,
)
from lakatos.experiments_db.mechanism.words import sentences

HOSTILE = "<script>alert(1)</script> \" ' & ]]> \u202e"
POSITIONS = ("IO", "MID", "S1", "S2", "END")


def told(found: Mechanism) -> Mechanism:
    """With its sentences."""
    return replace(found, sentences=tuple(sentences(found)))


def mechanism(**parts) -> Mechanism:
    """Of ioi on a model with 30 layers of 9 heads."""
    given = {
        "behaviour": "ioi",
        "question": "Which parts of the model complete a sentence with the name that was mentioned only once?",
        "model": "smollm2-135m",
        "study": "main",
        "runs": (1,),
        "n_layers": 30,
        "n_heads": 9,
        "n_groups": 3,
        "positions": POSITIONS,
        "families": ("distant",),
        "tested": 1,
        "confirmed": 1,
    }
    return told(Mechanism(**{**given, **parts}))


def nothing() -> Mechanism:
    """Nothing confirmed, not even that something has no effect."""
    left = (Open("a23.h3@END carries ioi (denoising, logit_diff, >= 10% of gap)", "undecided", 1),)
    return mechanism(confirmed=0, open=left)


def one_node() -> Mechanism:
    """A single head."""
    return mechanism(nodes=(Node((1,), component="a23.h3@END", effect=0.33),))


def like_ioi() -> Mechanism:
    """Every part there is: paths, roles, backups, circuits, an opposer, families, what is explained and what is not."""
    return mechanism(
        tested=31,
        confirmed=21,
        nodes=(
            Node((6,), ("distant",), component="m0@S2", effect=0.87),
            Node((17,), component="a2.h4@S1", effect=0.14),
            Node((18,), component="a4.h1@S2", effect=0.21),
            Node((19,), (), ("distant",), component="a11.h5@S2", effect=0.18),
            Node((20,), ("distant",), component="a14.h2@END", effect=0.26),
            Node((8,), component="a20.h0@END", effect=0.32, necessary=True, lost=0.12),
            Node((1, 9), ("distant",), component="a23.h3@END", effect=0.33, necessary=True, lost=0.25),
            Node((3,), component="a24.h4@END", effect=-0.23, direction="opposes"),
            Node((2,), component="a29.h1@END", effect=0.22),
            Node((4,), (), ("distant",), component="a29.h0@END", effect=-0.16, direction="opposes"),
            Node((11,), component="m0", necessary=True, lost=0.61),
        ),
        paths=(
            Path((21,), senders=("a2.h4@S1",), receivers=("a4.g0.k",), effect=0.12),
            Path((22,), senders=("a4.h1@S2",), receivers=("a14.g0.v",), effect=0.15),
            Path((23,), senders=("a14.h2@END",), receivers=("a23.h3.q",), effect=0.2, share=0.6),
            Path((24,), senders=("a23.h3@END",), receivers=("logits",), effect=0.3),
            Path((25,), senders=("a24.h4@END",), receivers=("logits",), effect=-0.2, direction="opposes"),
            Path((26,), ("distant",), senders=("a29.h1@END",), receivers=("logits",), effect=0.2),
        ),
        looks=(
            Looks((27,), heads=("a23.h3",), attends_from="END", attends_to="IO", margin=0.41),
            Looks((28,), heads=("a4.h1",), attends_from="S2", attends_to="S1", margin=0.3),
            Looks((29,), heads=("a24.h4",), attends_from="END", attends_to="IO", margin=0.22),
        ),
        backups=(Backup((30,), components=("a26.h7",), of=("a23.h3",), effect=0.11),),
        circuits=(
            Circuit(
                (31,),
                components=("a4.h1", "a14.h2", "a20.h0", "a23.h3", "a29.h1", "m0", "m5", "a7.h7"),
                faithfulness=0.8,
            ),
            Circuit((32,), components=("a1.h0", "m3", "a9.h2"), faithfulness=0.8, rival=True),
            Circuit((33,), kind="minimality", components=("a4.h1", "a14.h2", "a23.h3")),
        ),
        absent=(Absent((15,), components=("a18.h8@END",)), Absent((16,), components=("a18.h7@END",))),
        readings=(Reading((12,), component="m1", reading="backed up"),),
        explained=Explained(
            1,
            ("m0@S2", "a23.h3@END", "a20.h0@END"),
            (1, 2, 6, 8),
            64,
            Share(0.61, 0.55, 0.68),
            Share(0.48, 0.4, 0.57),
        ),
        open=(
            Open("a23.h7@END carries ioi (denoising, logit_diff, >= 10% of gap)", "rival", 13),
            Open("m29@END carries ioi (denoising, logit_diff, >= 10% of gap)", "undecided", 5),
            Open("a19.h2@END carries ioi (denoising, logit_diff, >= 10% of gap)", "undecided", 7),
            *(Open(f"a{k}.h1@END carries ioi (denoising, logit_diff, >= 10% of gap)", "not tested") for k in range(9)),
        ),
    )


def large(seed: int = 0, components: int = 25, crowd: bool = False) -> Mechanism:
    """Many nodes over many layers, with paths among them; `crowd`: in few layers and positions."""
    rng = random.Random(seed)
    layers, positions = (6, ("S2", "END")) if crowd else (30, (*POSITIONS, None))
    names: dict[str, Node] = {}
    while len(names) < components:
        place = f"a{rng.randrange(layers)}.h{rng.randrange(9)}" if rng.random() < 0.8 else f"m{rng.randrange(layers)}"
        at = rng.choice(positions)
        effect = rng.choice([-1, 1, 1, 1]) * rng.uniform(0.1, 0.9)
        name = f"{place}@{at}" if at else place
        direction = "supports" if effect > 0 else "opposes"
        number, needed = len(names) + 1, rng.random() < 0.3
        held = [("distant",), ()][rng.random() < 0.6]
        unshown = ("distant",) if not held and rng.random() < 0.5 else ()
        names[name] = Node((number,), held, unshown, name, effect, direction, needed, 0.2 if needed else None)
    heads = sorted((n for n in names if n.startswith("a")), key=lambda n: int(n[1:].split(".")[0]))
    paths, claim = [], components
    for _ in range(components // 3 if len(heads) > 1 else 0):
        sender, receiver = sorted(rng.sample(heads, 2), key=heads.index)
        claim += 1
        direction = rng.choice(["supports", "opposes"])
        into = "logits" if rng.random() < 0.3 else f"{receiver.split('@')[0]}.{rng.choice('q')}"
        if into == "logits" or int(sender[1:].split(".")[0]) < int(receiver[1:].split(".")[0]):
            paths.append(Path((claim,), senders=(sender,), receivers=(into,), direction=direction))
    looks = []
    for head in rng.sample(heads, min(5, len(heads))):
        claim += 1
        start, end = rng.sample(POSITIONS, 2)
        looks.append(Looks((claim,), heads=(head.split("@")[0],), attends_from=start, attends_to=end))
    return mechanism(
        tested=claim + 7, confirmed=claim, nodes=tuple(names.values()), paths=tuple(paths), looks=tuple(looks)
    )


def hostile() -> Mechanism:
    """Every word of a stranger's."""
    found = replace(
        like_ioi(),
        behaviour=HOSTILE,
        question=HOSTILE,
        model=HOSTILE,
        study=HOSTILE,
        positions=("IO", HOSTILE, "S1", "S2", "END"),
        families=(HOSTILE,),
        nodes=(Node((1,), (HOSTILE,), (HOSTILE,), component=f"a1.h2@{HOSTILE}", effect=0.4),),
        looks=(Looks((2,), heads=("a1.h2",), attends_from=HOSTILE, attends_to=HOSTILE),),
        open=(Open(HOSTILE, "undecided", 3), Open(HOSTILE, "not tested")),
    )
    return told(found)


ALL = {"nothing": nothing, "one node": one_node, "ioi": like_ioi, "large": large, "hostile": hostile}
