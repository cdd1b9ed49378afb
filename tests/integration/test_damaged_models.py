"""Damaged models, bundled ones and small ones: each gives a result or one clear error.

They run in a process that is allowed to end. First without the trial that files of unknown origin
get, which is quicker; those that end the process must be refused by the trial.
"""

import pytest
from support.mutation_campaign import Worker, all_models, run_campaign

SAMPLE = range(100)
MANY = range(100, 1_600)


def check_all(folder, seeds):
    """Raise AssertionError unless every damaged model gives a result or one clear error."""
    models = all_models()
    told = list(run_campaign(folder, models, seeds))
    ended = [each for each in told if each["outcome"] == "signal"]
    with Worker(folder) as worker:
        for each in ended:
            model = models[each["seed"] % len(models)]
            told.append(worker.ask(model, each["seed"], vouched=False))
            assert told[-1]["outcome"] in ("refused", "result"), told[-1]
    for each in told:
        assert each["outcome"] in ("refused", "result", "signal"), each
        if each["outcome"] == "refused":
            assert each["type"] == "ModelError", each
            assert each["message"], each
            assert "\n" not in each["message"] + each["hint"], each
    outcomes = {each["outcome"] for each in told}
    # Else the damage is none, or no model survives it.
    assert {"refused", "result"} <= outcomes


def test_damaged_models_give_a_result_or_a_clear_error(tmp_path):
    check_all(tmp_path, SAMPLE)


@pytest.mark.endurance
@pytest.mark.timeout(1_800)
def test_many_damaged_models_give_a_result_or_a_clear_error(tmp_path):
    check_all(tmp_path, MANY)
