"""Interrupt real runs at random moments, resume them, and check that nothing is lost or paid twice.

``scripts/chaos --rounds 100 --seed 1`` prints a line for each round and exits with 1 if a promise
was broken; a line that begins with ``repeat:`` is the command that plays such a round again.

A round draws a kind of run, a width, a transport, the server's faults and up to six interventions
(`plan`). It starts ``codeclm run`` against the fault server, intervenes, goes on with `run` or
`resume` until the run is finished (`sessions`), and compares what is left with an undisturbed run
on a server without faults (`verdict`):

* *Paid again*: how much oftener a content was paid for than in the undisturbed run, answers of null
  aside. Each such content must have been in flight when a process was ended at once; a gentle stop
  and a pause allow none.
* *In flight* when a process was ended: the request had come in whole, and its answer had not been
  handed to the kernel, or had been within the last second (``--strict``: 50 ms): an answer needs a
  moment to be read, grouped and committed. The age of the oldest lost answer is printed, so that
  this can be judged.
* Answers that the server gave are in the cache, but for those in flight at a kill; every one in
  the cache is in the run's account; ``--max-calls`` holds for all sessions together.
* Exports and fates are equal byte for byte, totals add up, both databases pass SQLite's integrity
  check, every stored answer can be read, no file is left behind, and the same command once more
  makes no call.
"""
