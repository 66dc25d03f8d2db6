"""Does the log tell the truth about itself? All that follows without a model is derived again and compared.

    triggers       they are there, say what the migrations made them say, and there are no others
    log            the rows of one moment; cells that cannot be read
    chain          entries follow one another, name rows that are there; ids without holes, times that do not run back
    runs           studies, runs and their events; a finished run settled everything
    calls          requests to language models: numbered, announced; conversations show what tools were answered
    approvals      what a person kept of drafts is what was proposed
    tools          calls of tools are those that somebody made; what one registers is what is proposed
    proposals      each is registered or refused, as reading it again says; an LLM's are what its answer says
    searches       a search put forward what its round proposed; what confirmed nodes explain is of fresh prompts
    registrations  claim hash, slot, record, constants from the stored exploration values, opponents
    streams        members, nonce and seed; prompts generated again; who shares them, and since when
    tests          every draw taken; e-value, p-value, interval, stopping reason from stored numbers; extensions
    reviews        signed, with a reason or a score; blind at first only
    reruns         tolerances from the confirmation, prompts from the seed, the outcome from the stored numbers
    comparing      what counts as the same number
    driver         runs all of these, and asks whether what runs reported as confirmed still is

It cannot notice a log that was cut short, put back to an earlier copy, or rewritten whole with every hash and every
consequence computed anew: keep the ledger's head elsewhere, and ask whether the chain still holds it
(`lakatos verify --head`).
"""

from lakatos.experiments_db.verify.driver import verify

__all__ = ["verify"]
