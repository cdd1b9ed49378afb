"""The package, the image and the fleet's role, as far as that can be told without installing.

Installing them is `make test-packages` and `make test-aarch64`.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_detect.app.cli import main
from edge_detect.service.config.load import load_settings
from edge_detect.sinks.rtsp.system import APT_LINE

pytestmark = pytest.mark.deploy

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ANSIBLE = ROOT / ".venv-ansible" / "bin"
VERSION = re.compile(r"edge-detect_([0-9.]+)-1~deb")


def run(*command: str | Path, folder: Path = ROOT) -> str:
    """The output of a command that must succeed."""
    path = f"{ANSIBLE}:{os.environ['PATH']}"
    # Ansible works in no other encoding.
    environment = os.environ | {"PATH": path, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name: str) -> Path:
    """A program of the tests' environment."""
    return Path(sys.executable).parent / name


def ansible(name: str) -> Path:
    """A program of Ansible's environment."""
    program = ANSIBLE / name
    assert program.exists(), "Ansible is not installed: scripts/setup.sh --deploy"
    return program


def logical_lines(path: Path) -> str:
    """A file without comments, its continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ")


def test_linter_finds_nothing_in_the_dockerfile():
    run(tool("hadolint"), "--failure-threshold", "style", DEPLOY / "docker" / "Dockerfile")


def test_compose_file_follows_the_compose_specification():
    compose = DEPLOY / "docker" / "compose.yaml"
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", compose)


def test_container_can_write_nowhere_but_to_its_volume_and_tmp():
    service = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())["services"]
    container = service["edge-detect"]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in container["security_opt"]
    writable = [each["target"] for each in container["volumes"] if not each.get("read_only")]
    assert writable == ["/var/lib/edge-detect"]


def test_image_takes_its_base_by_date_and_runs_as_nobody_in_particular():
    dockerfile = logical_lines(DEPLOY / "docker" / "Dockerfile")
    assert re.search(r"^ARG BASE=debian:bookworm-\d{8}-slim$", dockerfile, re.MULTILINE)
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE)[-1] == "990:990"
    assert "http://127.0.0.1:9464/healthz" in dockerfile


def test_everything_that_the_image_is_made_from_is_let_into_its_context():
    dockerfile = logical_lines(DEPLOY / "docker" / "Dockerfile")
    let_in = {
        line[1:]
        for line in (DEPLOY / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize("recipe", ["docker/Dockerfile", "deb/control"])
def test_what_the_rtsp_server_needs_is_installed_by(recipe):
    needed = {word for word in shlex.split(APT_LINE) if "-" in word.strip("-") and word[0] != "-"}
    listed = set(re.findall(r"[a-z0-9][a-z0-9.+-]+", logical_lines(DEPLOY / recipe)))
    assert needed <= listed


def test_scripts_of_the_package_are_sound():
    scripts = [DEPLOY / "deb" / f"edge-detect.{name}" for name in ("preinst", "postinst", "prerm")]
    run("shellcheck", *scripts, DEPLOY / "deb" / "edge-detect.postrm")


def test_manual_page_has_no_mistakes_and_names_every_command(capsys):
    page = DEPLOY / "deb" / "edge-detect.1"
    done = subprocess.run(
        ["man", "--warnings", "-l", page],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == ""
    main([])
    commands = re.findall(r"^    ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) > 5
    assert [name for name in commands if f".B {name}\n" not in page.read_text()] == []


def test_linter_finds_nothing_in_the_role():
    run(ansible("ansible-lint"), "-q", folder=DEPLOY / "ansible")


def test_playbook_is_understood_with_the_example_inventory():
    vault = json.dumps({"vault_mqtt_password": "x", "vault_gate_password": "y"})
    told = run(
        ansible("ansible-inventory"), "--list", "--extra-vars", vault, folder=DEPLOY / "ansible"
    )
    assert set(json.loads(told)["cameras"]["hosts"]) == {"yard", "gate"}
    run(ansible("ansible-playbook"), "--syntax-check", "site.yml", folder=DEPLOY / "ansible")


def role() -> dict[str, Any]:
    """The role's own variables."""
    path = DEPLOY / "ansible" / "roles" / "edge_detect" / "vars" / "main.yml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def ask_hosts(tmp_path: Path, hosts: dict[str, dict[str, Any]], module: str, words: str) -> str:
    """What Ansible says when it runs a module for hosts that all are this computer.

    Args:
        tmp_path: For the inventory.
        hosts: The variables of each.
        module: Of Ansible.
        words: For the module.
    """
    common = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory = tmp_path / "inventory.json"
    inventory.write_text(
        json.dumps({"all": {"hosts": {name: common | role() | own for name, own in hosts.items()}}})
    )
    return run(
        ansible("ansible"), "all", "-i", inventory, "-m", module, "-a", words, folder=tmp_path
    )


def rendered(tmp_path: Path, hosts: dict[str, dict[str, Any]]) -> list[Path]:
    """The role's configuration file for each host."""
    template = DEPLOY / "ansible" / "roles" / "edge_detect" / "templates" / "config.toml.j2"
    words = f"src={template} dest={tmp_path}/{{{{ inventory_hostname }}}}.toml"
    ask_hosts(tmp_path, hosts, "ansible.builtin.template", words)
    return [tmp_path / f"{name}.toml" for name in hosts]


def test_role_writes_what_it_was_told_as_toml_of_the_same_meaning(tmp_path):
    common = {
        "metrics": {"listen": "0.0.0.0:9464"},
        "mqtt": {"host": "broker", "tls": True, "topic": 'a "quoted" \\ näme 🚗'},
    }
    own = {
        "mqtt": {"node": "yard"},
        "cameras": {
            "yard": {
                "source": "synthetic://?size=640x360",
                "threshold": 0.25,
                "classes": ["person", "car"],
                "zones": {"drive": {"polygon": [[0, 0.5], [1, 0.5], [1, 1]]}},
            }
        },
    }
    variables = {"edge_detect_config": common, "edge_detect_host_config": own}
    (file,) = rendered(tmp_path, {"yard": variables})
    expected = common | own | {"mqtt": common["mqtt"] | own["mqtt"]}
    assert tomllib.loads(file.read_text()) == expected


def test_role_asks_where_the_service_listens(tmp_path):
    asked = {
        "127.0.0.1:9464": {},
        "127.0.0.1:9999": {"listen": "0.0.0.0:9999"},
        "[::1]:9464": {"listen": "[::]:9464"},
        "192.0.2.7:9464": {"listen": "192.0.2.7:9464"},
        "10.0.0.0:9464": {"listen": "10.0.0.0:9464"},
    }
    hosts = {
        f"host{number}": {
            "edge_detect_config": {"metrics": metrics},
            "edge_detect_host_config": {},
        }
        for number, metrics in enumerate(asked.values())
    }
    told = ask_hosts(tmp_path, hosts, "ansible.builtin.debug", "var=edge_detect_health_url")
    found = re.findall(r'(host\d) \| SUCCESS => {\s+"edge_detect_health_url": "(.+)"', told)
    assert [url for _, url in sorted(found)] == [f"http://{address}" for address in asked]


def test_examples_of_the_fleet_are_valid_configurations(tmp_path):
    inventory = DEPLOY / "ansible" / "inventory"
    common = yaml.safe_load((inventory / "group_vars" / "cameras" / "main.yml").read_text())
    hosts = {
        name: common | yaml.safe_load((inventory / "host_vars" / f"{name}.yml").read_text())
        for name in ("yard", "gate")
    }
    for (host, variables), file in zip(hosts.items(), rendered(tmp_path, hosts), strict=True):
        secrets = tmp_path / f"secrets-{host}"
        secrets.mkdir(mode=0o700)
        names = variables["edge_detect_secrets"] | variables.get("edge_detect_host_secrets", {})
        for name in names:
            (secrets / name).write_text("a secret")
            (secrets / name).chmod(0o600)
        settings = load_settings(file, {"CREDENTIALS_DIRECTORY": str(secrets)})
        assert list(settings.cameras) == [host]
        assert settings.mqtt is not None
        assert settings.mqtt.password.get_secret_value() == "a secret"


def test_every_file_that_the_guide_points_to_is_there():
    guide = (DEPLOY / "README.md").read_text()
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", guide) if "://" not in link]
    named = re.findall(r"(?:scripts|deploy)/[a-z0-9_/.]+\.sh", guide)
    assert linked
    assert named
    missing = [each for each in linked if not (DEPLOY / each).exists()]
    assert missing + [each for each in named if not (ROOT / each).exists()] == []


def test_every_command_of_the_guide_is_one_of_the_program(capsys):
    guide = (DEPLOY / "README.md").read_text()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL))
    used = set(re.findall(r"(?:^|sudo |&& )\s*edge-detect ([a-z]+)", blocks, re.MULTILINE))
    assert {"doctor", "config", "report"} <= used
    main([])
    commands = set(re.findall(r"^    ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE))
    assert used <= commands


def test_guide_and_role_name_the_version_of_this_checkout():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("version")
    if version is None:
        from edge_detect import __version__ as version
    role = DEPLOY / "ansible" / "roles" / "edge_detect" / "defaults" / "main.yml"
    assert yaml.safe_load(role.read_text())["edge_detect_version"] == version
    assert set(VERSION.findall((DEPLOY / "README.md").read_text())) == {version}
