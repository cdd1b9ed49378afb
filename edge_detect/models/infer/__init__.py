"""From what a model file says to a manifest: the file alone is enough.

evidence     all that the file and what lies beside it say
draft        a manifest in the making; every value with its source
choose       which family it is; one module per family matches and fills in
inputs       what pixels become
refusals     files that are no detectors, named as what they are
overrides    what a query or a manifest says otherwise
probe        questions that one inference answers
trial        uncertain choices, tried on photos
inference    the result
"""
