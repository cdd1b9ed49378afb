"""Print the package's copyright file: its own licence, and that of all it brings.

python3 package_copyright.py SITE_PACKAGES
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, MetadataPathFinder
from pathlib import Path

_OWN = """\
This package was built from the sources of edge-detect.

Copyright: the edge-detect maintainers and contributors
License: Apache-2.0

On Debian systems, the text of the Apache License 2.0 is in
/usr/share/common-licenses/Apache-2.0.

Models and the demo clip have licences of their own, stated in edge_detect/models_tflite/*.toml
and edge_detect/demo/README.md below /usr/lib/edge-detect.

It brings the following Python packages, as their projects publish them. The whole texts of
their licences, and of the libraries inside them, are in the files named here, below
/usr/lib/edge-detect. The wheel of PyAV holds FFmpeg built with x264, under the GNU General
Public License 2 or later: /usr/share/common-licenses/GPL-2. That of OpenCV holds FFmpeg under
the GNU Lesser General Public License 2.1: /usr/share/common-licenses/LGPL-2.1. Their sources are
at the homepages named here.
"""
_NAMES = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
_NOTICE = re.compile(r"^\W{0,4}(copyright\b.*\d{4}.*)$", re.IGNORECASE)
_MOST_NOTICES = 5


def main(site: Path) -> None:
    """Write it to standard output.

    Args:
        site: The folder that the packages were installed into.
    """
    print(_OWN)
    found = MetadataPathFinder.find_distributions(
        MetadataPathFinder.Context(path=[str(site)])  # type: ignore[no-untyped-call]
    )
    for distribution in sorted(found, key=lambda each: each.name.lower()):
        if distribution.name != "edge-detect":
            print("\n".join(_paragraph(distribution, site)), end="\n\n")


def _paragraph(distribution: Distribution, site: Path) -> Iterator[str]:
    about = distribution.metadata
    yield f"{distribution.name} {distribution.version}"
    homepages = [*about.get_all("Project-URL", []), about.get("Home-page", "")]
    for homepage in sorted(homepages, key=lambda each: "source" not in each.lower())[:1]:
        yield f"  from: {homepage.split(', ')[-1] or 'PyPI'}"
    yield f"  License: {_licence(distribution)}"
    files = [
        Path(str(each.locate()))
        for each in distribution.files or ()
        if ".dist-info" in str(each) and _NAMES.search(each.name)
    ]
    for notice in list(dict.fromkeys(_notices(files)))[:_MOST_NOTICES]:
        yield f"  {notice}"
    for file in files:
        if file.is_file():
            yield f"  text: lib/{site.parent.name}/{site.name}/{file.relative_to(site)}"


def _licence(distribution: Distribution) -> str:
    about = distribution.metadata
    if expression := about.get("License-Expression"):
        return str(expression)
    classifiers = [
        each.split(" :: ")[-1]
        for each in about.get_all("Classifier", [])
        if each.startswith("License :: ")
    ]
    free_text = (about.get("License") or "").strip().splitlines()
    return ", ".join(classifiers) or (free_text[0] if free_text else "see the project's homepage")


def _notices(files: list[Path]) -> Iterator[str]:
    for file in files:
        if not file.is_file():
            continue
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := _NOTICE.match(line.strip()):
                yield match[1].strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
