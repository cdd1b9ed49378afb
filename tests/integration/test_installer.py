"""What deploy/install.sh accepts and refuses; what it does is proved by scripts/test_systemd.sh."""

import os
import subprocess
from pathlib import Path

import pytest
from support.requirements import not_allowed

ROOT = Path(__file__).resolve().parents[2]
INSTALLER = ROOT / "deploy/install.sh"
KNOWN = ["debian 12", "debian 13", "ubuntu 24.04"]


def install(*options, on=None, folder=None):
    """Run the installer, as if this were another system; it sees that by /etc/os-release."""
    command = [INSTALLER, *options]
    if on is not None:
        identity, version = on.split()
        release = folder / "os-release"
        release.write_text(f'ID={identity}\nVERSION_ID="{version}"\nPRETTY_NAME="{on.title()}"\n')
        script = f'mount --bind "{release}" /etc/os-release && exec "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def can_mount():
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    trial = ["unshare", *rights, "--mount", "mount", "--bind", "/etc", "/etc"]
    return subprocess.run(trial, capture_output=True, timeout=20, check=False).returncode == 0


@pytest.fixture(scope="module")
def mounts() -> None:
    """For tests that put another /etc/os-release in the place of this system's."""
    if os.geteuid() != 0 or not can_mount():
        not_allowed("needs root and the right to mount")


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("system", KNOWN)
def test_known_system_is_accepted_and_a_dry_run_says_what_it_would_do(system, tmp_path):
    done = install("--dry-run", on=system, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"on {system.title()}" in done.stdout
    for place in ("/opt/edge-detect", "/etc/edge-detect/config.toml", "edge-detect.service"):
        assert place in done.stdout


@pytest.mark.usefixtures("mounts")
def test_dry_run_changes_nothing(tmp_path):
    places = [
        Path(p) for p in ("/opt/edge-detect", "/etc/edge-detect", "/usr/local/bin/edge-detect")
    ]
    before = [place.exists() for place in places]
    for options in (["--dry-run"], ["--dry-run", "--uninstall", "--purge"]):
        assert install(*options, on="debian 12", folder=tmp_path).returncode == 0
    assert [place.exists() for place in places] == before


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("system", ["debian 11", "ubuntu 22.04"])
def test_unknown_system_is_refused_until_forced(system, tmp_path):
    refused = install("--dry-run", on=system, folder=tmp_path)
    assert refused.returncode == 72
    assert refused.stdout == ""
    assert f"{system.title()} is not one of" in refused.stderr
    assert "hint: --force" in refused.stderr
    forced = install("--dry-run", "--force", on=system, folder=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert "going on because of --force" in forced.stdout


def test_wheel_that_is_not_there_is_named():
    done = install("--dry-run", "--wheel", "/nowhere/edge_detect-1.whl")
    assert done.returncode == 66
    assert "there is no wheel /nowhere/edge_detect-1.whl" in done.stderr


def test_unknown_option_is_refused_with_the_way_to_the_list():
    done = install("--frobnicate")
    assert done.returncode == 64
    assert "unknown option --frobnicate" in done.stderr
    assert "--help" in done.stderr


def test_help_has_every_option():
    done = install("--help")
    assert done.returncode == 0
    for option in ("--wheel", "--dry-run", "--force", "--no-start", "--uninstall", "--purge"):
        assert option in done.stdout
