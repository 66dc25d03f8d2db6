"""One module per schema version, applied in order when a database is opened.

0002_batteries  studies, runs, hypotheses and their evidence
0003_reviews    what people say of hypotheses, and what came of running them again
0004_streams    prompts that claims share, tests that were extended, studies that were planned
"""
