"""The actions of `edge-detect models` for files of one's own, for the command line."""

from typing import TYPE_CHECKING

__all__ = ["add_file_actions"]

if TYPE_CHECKING:
    from edge_detect.app.arguments import Commands


def add_file_actions(actions: "Commands") -> None:
    """Add them, each with its options."""
    _add_inspect(actions)
    _add_add(actions)


def _add_inspect(actions: "Commands") -> None:
    inspect = actions.add_parser(
        "inspect",
        help="show the tensors, family and settings of a model file, and which are guesses",
        description="Show the tensors and the family of a model file, and every value of its "
        "manifest with its source; guesses are marked. With photos, try the uncertain values "
        "(channel order, scale, units) and rank the combinations.",
    )
    inspect.add_argument(
        "file",
        metavar="FILE",
        help="a .tflite file or the name of a model; a query sets values: x.tflite?color=bgr",
    )
    inspect.add_argument(
        "photos",
        nargs="*",
        # Else argparse calls them required where FILE is missing.
        default=[],
        metavar="PHOTO",
        help="photos with objects of the model's classes",
    )
    inspect.add_argument(
        "--write",
        action="store_true",
        help="write the manifest beside the file: x.toml for x.tflite",
    )
    inspect.add_argument(
        "--force",
        action="store_true",
        help="replace an existing manifest; labels and origin are kept",
    )
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.set_defaults(work=("edge_detect.app.inspect_model", "inspect"))


def _add_add(actions: "Commands") -> None:
    add = actions.add_parser(
        "add",
        help="add a model file of your own to the catalogue",
        description="Copy or download a model into the catalogue, run it once, and write its "
        "manifest. From then on its name alone is enough: --model NAME.",
    )
    add.add_argument(
        "file",
        metavar="FILE|URL",
        help="a .tflite file or its http(s) address; a query sets values: "
        "x.tflite?labels=names.txt",
    )
    add.add_argument(
        "--name", metavar="NAME", help="name in the catalogue (default: the file name)"
    )
    add.add_argument(
        "--force", action="store_true", help="replace an existing model of the same name"
    )
    add.set_defaults(work=("edge_detect.app.add_model", "add"))
