"""Transformers that run a RASP program: known answers that no one wrote into the weights by hand.

A program is compiled to heads and MLPs by Tracr (Lindner et al. 2023), and these are hidden in a larger transformer
among decoys. The truth of it is read off the compiled weights and the program, and never declared.

expressions      what a program is made of, and an interpreter of it
programs         the programs that have names
random_programs  any number of others
describing       a program as plain data and in words
compiling        from a program to weights, by Tracr
stored           compiled programs as files;  compiled: those that come with the package
structure        what the parts of a compiled program read and write
placing          where they stand in the larger transformer
embedding        the larger transformer's weights: parts, decoys, rotations, noise
vocabulary       its words and tokenizer
prompts          a behaviour for each program
truth            what is used, by what path, and what taking it away does
loading          a program's model, behaviour and truth by name

`python -m lakatos.tools.model.rasp` (`__main__`) makes what comes with the package anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakatos.tools.lazy import lazily

if TYPE_CHECKING:
    from lakatos.tools.model.rasp.loading import (
        PREFIX,
        load_rasp,
        load_rasp_truth,
        program_of,
        rasp_behaviour,
    )
    from lakatos.tools.model.rasp.programs import PROGRAMS, Program
    from lakatos.tools.model.rasp.random_programs import random_program
    from lakatos.tools.model.rasp.stored import compiled_program
    from lakatos.tools.model.rasp.truth import RaspTruth

__all__ = [
    "PREFIX",
    "PROGRAMS",
    "Program",
    "RaspTruth",
    "compiled_program",
    "load_rasp",
    "load_rasp_truth",
    "program_of",
    "random_program",
    "rasp_behaviour",
]

__getattr__ = lazily(
    __name__,
    {
        "PREFIX": "loading",
        "PROGRAMS": "programs",
        "Program": "programs",
        "RaspTruth": "truth",
        "compiled_program": "stored",
        "load_rasp": "loading",
        "load_rasp_truth": "loading",
        "program_of": "loading",
        "random_program": "random_programs",
        "rasp_behaviour": "loading",
    },
)
