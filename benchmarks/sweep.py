"""How fast sweeps are beside TransformerLens's own, and how near to the machine's limit: `lakatos bench sweep`.

python benchmarks/sweep.py                                      SmolLM2 on this machine's processor
python benchmarks/sweep.py --tasks a,e --profile                some tasks, and where the time is
python benchmarks/sweep.py --model gpt2-xl --dtype bfloat16 --device cuda --json
"""

import sys

from lakatos.agent.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "sweep"]
    main()
