"""Do what a Dockerfile says in folders, where there is no container engine.

python run_dockerfile.py DOCKERFILE BASE SCRATCH: run from the root of the build's context. BASE
is the root of the Debian that the image is made from; each stage works on a layer above it, in
SCRATCH. Needs root, and a mount namespace of its own, which takes the mounts along when it ends.
Ends with the first step that fails.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser

_RUN_TIMEOUT_S = 900
# Minor numbers of the kernel's memory devices.
_DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
# Said for whoever uses the image; nothing is done for them here but in `_check`.
_SAYINGS = {"EXPOSE", "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "COMMENT"}


@dataclass
class _Stage:
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = ""
    entry: list[str] = field(default_factory=list)

    def run(self, command: list[str], *, user: str = "") -> None:
        uid, _, gid = user.partition(":")
        who = ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        environment |= self.environment | {"DEBIAN_FRONTEND": "noninteractive"}
        given = [f"{name}={value}" for name, value in environment.items()]
        sys.stdout.write(f"+ {' '.join(command)}\n")
        sys.stdout.flush()
        subprocess.run(
            ["chroot", self.root, "/usr/bin/env", "-i", *given, *(who if user else []), *command],
            check=True,
            timeout=_RUN_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )


class _Build:
    """The stages of one Dockerfile, in its order."""

    def __init__(self, base: Path, scratch: Path) -> None:
        self._base = base
        self._scratch = scratch
        self._stages: dict[str, _Stage] = {}
        self._now = _Stage(base)

    def do(self, instruction: str, value: str) -> None:
        """One instruction.

        Raises:
            ValueError: It is none that is known here.
        """
        if instruction == "FROM":
            self._from(value.split())
        elif instruction == "RUN":
            self._now.run(["/bin/sh", "-c", value])
        elif instruction == "COPY":
            self._copy(value.split())
        elif instruction == "USER":
            self._now.user = value
        elif instruction == "ENTRYPOINT":
            self._now.entry = json.loads(value)
        elif instruction == "WORKDIR":
            (self._now.root / value.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction not in _SAYINGS | {"ARG", "ENV"}:
            raise ValueError(f"{instruction} is not known here")

    def set_environment(self, environment: dict[str, str]) -> None:
        """What ENV says of the last stage."""
        self._now.environment = environment

    def check(self) -> None:
        """The finished image: its program starts as its user and detects."""
        self._now.run([*self._now.entry, "--version"], user=self._now.user)
        picture = self._now.root / "srv" / "street.png"
        subprocess.run([sys.executable, "tests/aarch64/frame.py", picture], check=True)
        picture.chmod(0o644)
        model = ["--model", "ssdlite-mobilenet-v2-pedestrian"]
        self._now.run(
            [*self._now.entry, "detect", "--json", *model, "/srv/street.png"], user=self._now.user
        )
        # What the RTSP server needs from the system, seen from the environment.
        self._now.run(
            [
                "/opt/edge-detect/bin/python",
                "-c",
                "from edge_detect.sinks.rtsp.system import load_rtsp_libraries as l; print(l())",
            ],
            user=self._now.user,
        )

    def _from(self, words: list[str]) -> None:
        name = words[2] if len(words) > 2 else f"stage{len(self._stages)}"
        root, changes, work = (self._scratch / f"{name}-{part}" for part in ("root", "up", "work"))
        for folder in (root, changes, work):
            folder.mkdir()
        options = f"lowerdir={self._base},upperdir={changes},workdir={work}"
        subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", options, root], check=True, timeout=30
        )
        subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True, timeout=30)
        _make_devices(root / "dev")
        for file in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
            shutil.copyfile(Path("/") / file, root / file)
        self._now = self._stages[name] = _Stage(root)

    def _copy(self, words: list[str]) -> None:
        source = Path.cwd()
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).removeprefix("--from=")].root
        *names, target_name = words
        target = self._now.root / target_name.lstrip("/")
        for name in names:
            origin = source / name.lstrip("/")
            if origin.is_dir():
                shutil.copytree(origin, target, symlinks=True, dirs_exist_ok=True)
            else:
                folder = target if target_name.endswith("/") else target.parent
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy2(origin, folder if target_name.endswith("/") else target)


def _make_devices(folder: Path) -> None:
    """The few devices that installing needs, of this stage alone.

    Never this machine's own /dev: whatever removed the stage would remove it, too.
    """
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder], check=True, timeout=30
    )
    for name, minor in _DEVICES.items():
        node = folder / name
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        node.chmod(0o666)
    (folder / "fd").symlink_to("/proc/self/fd")


def main(dockerfile: Path, base: Path, scratch: Path) -> None:
    """Build and check."""
    parser = DockerfileParser(str(dockerfile))
    build = _Build(base, scratch)
    for step in parser.structure:
        if step["instruction"] == "USER":
            build.set_environment(dict(parser.envs))
        build.do(step["instruction"], step["value"])
    build.check()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve())
