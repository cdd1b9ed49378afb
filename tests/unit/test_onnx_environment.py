"""Which interpreter the environment for ONNX is made with."""

import pytest

from edge_detect.core import DependencyError
from edge_detect.tools.convert.onnx_environment import choose_recipe


def test_an_interpreter_that_needs_no_tensorflow_goes_first():
    """Python 3.12 and later convert without TensorFlow, so one of these is preferred."""
    chosen = choose_recipe([("/usr/bin/python3", (3, 11)), ("/usr/bin/python3.13", (3, 13))])
    assert chosen.python == "/usr/bin/python3.13"
    assert "without TensorFlow" in chosen.note
    assert chosen.folder == "onnx2tf-2.6.9-python3.13"


def test_an_old_python_gets_the_last_version_that_runs_on_it():
    """With Python 3.11 alone TensorFlow comes along, which is said."""
    chosen = choose_recipe([("/usr/bin/python3", (3, 11))])
    assert chosen.package == "onnx2tf==1.29.24"
    assert "with TensorFlow" in chosen.note


@pytest.mark.parametrize("pythons", [[], [("/usr/bin/python3.14", (3, 14))]])
def test_without_a_suitable_python_the_error_says_what_to_install(pythons):
    """There is a way out on this computer, and one on another."""
    with pytest.raises(DependencyError) as caught:
        choose_recipe(pythons)
    assert "found here: " + ("3.14" if pythons else "none") in caught.value.message
    assert "install python3.13" in caught.value.hint
    assert "convert elsewhere" in caught.value.hint
