"""What can be measured: models, behaviours, interventions, and the statistics of what they show.

From low to high; each uses what stands above it, and `make lint` sees to that.

errors        the kinds of error
lazy          packages whose names are loaded when they are asked for
records       canonical JSON and its hash;  environment: what decides the numbers
metric        what is measured of a run
statistics    e-values of one test;  multiplicity: corrections over many
component     places in a model
behaviour     the question: prompts, pairs, donors, tokens
claim         what may be said
model         the subject: loaded, planted, or of random weights
forward       a model run again from the middle
intervention  what happens when activations are replaced
exploration   where to look
evidence      what numbers say of a claim
experiment    where claim, prompts and model meet
baseline      what people do today, to compare with
benchmark     what the instrument itself can do
"""
