"""`python -m lakatos.tools.model.rasp`: compile the programs with names anew, and draw their prompts, into the package.

For those who change a program, in a checkout, with Tracr: pip install "lakatos[groundtruth]".
"""

from __future__ import annotations

from pathlib import Path

import lakatos.tools.behaviour.builtin
from lakatos.tools.model.rasp.compiling import compile_program
from lakatos.tools.model.rasp.programs import PROGRAMS
from lakatos.tools.model.rasp.prompts import as_yaml, behaviour_name, make_behaviour
from lakatos.tools.model.rasp.stored import put, write

if __name__ == "__main__":
    behaviours = Path(str(lakatos.tools.behaviour.builtin.__file__)).parent / "planted"
    for name, program in PROGRAMS.items():
        write(compile_program(program), Path(__file__).parent / "compiled", name)
        put(behaviours / f"{behaviour_name(program)}.yaml", as_yaml(make_behaviour(program)).encode())
