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
        help="show what a model file says about itself, and what is guessed",
        description="Show tensors, family, what was read from where, and what is a guess. With "
        "photos, try what is uncertain (channel order, scale, units) and rank the combinations.",
    )
    inspect.add_argument(
        "file",
        metavar="FILE",
        help="a .tflite file or a name; options may follow: x.tflite?color=bgr",
    )
    inspect.add_argument(
        "photos", nargs="*", metavar="PHOTO", help="photos with objects that the model knows"
    )
    inspect.add_argument(
        "--write", action="store_true", help="write the manifest beside the file (FILE.toml)"
    )
    inspect.add_argument("--force", action="store_true", help="replace a manifest that exists")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.set_defaults(work=("edge_detect.app.inspect_model", "inspect"))


def _add_add(actions: "Commands") -> None:
    add = actions.add_parser(
        "add",
        help="add a model file of your own to the catalogue",
        description="Copy or download a model to where its name alone finds it, check that it "
        "loads, and write its manifest.",
    )
    add.add_argument(
        "file",
        metavar="FILE|URL",
        help="a .tflite file or its http(s) address; options may follow: x.tflite?labels=names.txt",
    )
    add.add_argument("--name", metavar="NAME", help="in the catalogue (default: from the file's)")
    add.add_argument("--force", action="store_true", help="replace a model of the same name")
    add.set_defaults(work=("edge_detect.app.add_model", "add"))
