"""Random programs."""

from lakatos.tools.model.rasp.programs import Program

RANDOM = "random"


def random_program(seed: int) -> Program:
    raise NotImplementedError
