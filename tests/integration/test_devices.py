"""`edge-detect devices`: what models can run on, with libraries that do all that libraries do."""

import json
import os
import shutil
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fakes.sysfs import FakeSystem
from support.compiled import shared_library
from support.waiting import HANG_S, promptly

from edge_detect.app.cli import main
from edge_detect.app.devices import lines_of
from edge_detect.tools.devices.edge_tpus import find_edge_tpus, hear_library, judge_library
from edge_detect.tools.devices.gpus import find_gpus, try_gpu
from edge_detect.tools.devices.judgement import State
from edge_detect.tools.devices.processor import look_at_processor
from edge_detect.tools.devices.runtimes import Runtime, judge_together, look_at_runtime
from edge_detect.tools.devices.survey import survey
from edge_detect.tools.doctor.coral import look_at_edge_tpus
from edge_detect.tools.doctor.finding import Level
from edge_detect.tools.doctor.place import Place

FAKES = Path(__file__).parents[1] / "fakes"
BEFORE, AFTER = ("1a6e", "089a"), ("18d1", "9302")


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path / "root")


def library(folder: Path, listing: str, version: str = "COMPILER=12.2.0") -> str:
    """A libedgetpu that does this when it is asked for its devices."""
    source = folder / "library.c"
    source.write_text(
        f"""
        #include <signal.h>
        #include <stddef.h>
        #include <unistd.h>
        const char *edgetpu_version(void) {{ return "BuildLabel({version})"; }}
        void *edgetpu_list_devices(size_t *count) {{ *count = 0; {listing}; return NULL; }}
        void edgetpu_free_devices(void *devices) {{ (void)devices; }}
        """
    )
    return str(shutil.copyfile(shared_library([source]), folder / "libedgetpu.so.1"))


def raspberry_pi_5(system: FakeSystem) -> None:
    """With an Edge TPU on USB 3, another on USB 2 and one on PCI Express; and its GPU."""
    features = "fp asimd evtstrm aes fphp asimdhp cpuid asimdrdm asimddp"
    block = "processor\t: {}\nFeatures\t: {}\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
    system.write("proc/cpuinfo", "\n".join(block.format(core, features) for core in range(4)))
    system.write("sys/devices/system/cpu/online", "0-3")
    system.cpufreq(0, 1_500_000, 2_400_000)
    system.write("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "ondemand")
    system.write("sys/devices/system/cpu/cpufreq/policy0/scaling_driver", "cpufreq-dt")
    system.usb_device("4-1", AFTER, 5000)
    system.usb_device("1-1", BEFORE, 480)
    system.pci_edge_tpu()
    system.write(
        "sys/class/drm/renderD128/device/uevent", "DRIVER=v3d\nOF_COMPATIBLE_0=brcm,2712-v3d"
    )
    system.write("dev/dri/renderD128", "")


def shape(value: Any) -> Any:
    """Keys at every depth; of lists, those of the first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items() if key != "features"}
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_edge_tpu_that_the_library_sees_has_a_name_to_choose_it_by(
    system, stand_in, count
) -> None:
    stand_in.tell(f"devices {count}")
    said = hear_library(str(stand_in.library))
    assert said.devices == tuple(f"usb:{number}" for number in range(count))
    judged = judge_library(said, find_edge_tpus(system.root), system.root)
    assert (judged.state, "RuntimeVersion(14)" in judged.fact) == (State.OK, True)


def test_an_edge_tpu_on_usb_2_works_and_is_told_to_be_slow(system) -> None:
    system.usb_device("1-1", BEFORE, 480)
    [device] = find_edge_tpus(system.root)
    assert (device.judgement.state, device.speed_bps) == (State.WARN, 480_000_000)
    assert device.firmware_loaded is False
    assert "USB 2" in device.judgement.fact
    assert "USB 3" in device.judgement.hint


def test_an_edge_tpu_on_pcie_without_driver_cannot_be_used(system) -> None:
    system.pci_edge_tpu(driver="")
    [card] = find_edge_tpus(system.root)
    assert (card.judgement.state, card.driver, card.node) == (State.FAIL, "", None)
    assert "gasket-dkms" in card.judgement.hint


def test_a_device_that_this_user_may_not_open_cannot_be_used(system, monkeypatch) -> None:
    raspberry_pi_5(system)
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = [*find_edge_tpus(system.root), *find_gpus(system.root)]
    assert {each.judgement.state for each in found} == {State.FAIL}
    assert ["plugdev" in found[0].judgement.hint, "render" in found[-1].judgement.hint] == [
        True
    ] * 2


def test_a_library_that_sees_nothing_of_what_the_kernel_knows_is_told_with_the_reason(
    system, stand_in
) -> None:
    stand_in.tell("devices 0")
    system.usb_device("4-1", AFTER, 5000)
    said = hear_library(str(stand_in.library))
    judged = judge_library(said, find_edge_tpus(system.root), system.root)
    assert (judged.state, judged.usable) == (State.FAIL, False)
    assert "sees none of the 1 that the kernel knows" in judged.fact
    assert judged.hint
    system.usb_device("4-2", AFTER, 5000)
    stand_in.tell("devices 1")
    said = hear_library(str(stand_in.library))
    some = judge_library(said, find_edge_tpus(system.root), system.root)
    assert (some.state, some.fact) == (State.WARN, "sees 1 of the 2 that the kernel knows")


def test_a_library_that_is_missing_matters_only_beside_an_edge_tpu(system, tmp_path) -> None:
    said = hear_library(str(tmp_path / "libedgetpu.so.1"))
    assert judge_library(said, find_edge_tpus(system.root), system.root).state is State.NONE
    system.usb_device("4-1", AFTER, 5000)
    judged = judge_library(said, find_edge_tpus(system.root), system.root)
    assert (judged.state, "libedgetpu1-std" in judged.hint) == (State.FAIL, True)


def test_a_library_that_crashes_is_one_line_of_the_list(system, tmp_path, capsys) -> None:
    crashing = library(tmp_path, "raise(SIGSEGV)")
    assert main(["devices", "--library", crashing, "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)["edge_tpus"]["library"]
    assert (judged["state"], "crashes (SIGSEGV)" in judged["fact"]) == ("warn", True)
    system.usb_device("4-1", AFTER, 5000)
    said = hear_library(crashing)
    assert judge_library(said, find_edge_tpus(system.root), system.root).state is State.FAIL


def test_the_doctor_takes_the_same_judgement(system, tmp_path) -> None:
    library(tmp_path, "raise(SIGSEGV)")
    system.usb_device("1-1", BEFORE, 480)
    place = Place(system.root, os.environ | {"LD_LIBRARY_PATH": str(tmp_path)})
    device, said = look_at_edge_tpus(place)
    [listed] = find_edge_tpus(system.root)
    assert (device.value, device.advice) == (listed.judgement.fact, listed.judgement.hint)
    assert (said.level, said.value) == (Level.WARN, "libedgetpu.so.1 crashes (SIGSEGV)")


def test_a_library_that_hangs_holds_nothing_but_its_own_line(system, tmp_path) -> None:
    raspberry_pi_5(system)
    hanging = library(tmp_path, "alarm(30); for (;;) pause()")
    found = survey(hanging, root=system.root, list_s=0.5)
    assert found.library_judgement.state is State.FAIL
    assert "gives no answer within 0.5 s" in found.library_judgement.fact
    assert found.runtimes[0].judgement.state is State.OK
    assert found.accelerators == ["cpu"]


def test_a_list_is_there_in_time_whatever_hangs(system, tmp_path) -> None:
    raspberry_pi_5(system)
    hanging = library(tmp_path, "alarm(30); for (;;) pause()")
    with promptly():
        found = survey(hanging, root=system.root, patience_s=0.5, list_s=HANG_S)
    assert found.library_judgement.state is State.FAIL
    assert found.library_judgement.fact == "no answer within 0.5 s"


def test_a_build_of_long_ago_is_told(system, tmp_path) -> None:
    said = hear_library(library(tmp_path, "", "COMPILER=6.3.0 20170516,DATE=redacted"))
    judged = judge_library(said, [], system.root)
    assert (judged.state, "2021" in judged.fact) == (State.WARN, True)


def test_a_computer_without_anything_has_a_cpu(system, tmp_path) -> None:
    found = survey(str(tmp_path / "libedgetpu.so.1"), root=system.root)
    assert found.accelerators == ["cpu"]
    assert found.library_judgement.state is State.NONE
    assert found.gpu_judgement.state is State.NONE
    text = "\n".join(lines_of(found))
    assert "there is none on USB or PCI Express" in text
    assert text.endswith("accelerators that work here: cpu")


def test_the_json_has_the_same_keys_whatever_there_is(system, stand_in, tmp_path) -> None:
    stand_in.tell("devices 2")
    empty = survey(str(tmp_path / "none.so"), root=tmp_path / "empty").as_json()
    raspberry_pi_5(system)
    full = survey(str(stand_in.library), root=system.root).as_json()
    assert json.loads(json.dumps(full)) == full
    assert full["edge_tpus"]["accelerators"] == ["edgetpu:usb:0", "edgetpu:usb:1"]
    assert {device["speed_bps"] for device in full["edge_tpus"]["devices"]} == {
        480_000_000,
        5_000_000_000,
        None,
    }
    assert full["cpu"]["frequency_limit_hz"] == 2_400_000_000
    lists = [shape(full["edge_tpus"].pop("devices")), shape(full["gpus"].pop("devices"))]
    empty["edge_tpus"].pop("devices"), empty["gpus"].pop("devices")
    assert shape(full) == shape(empty) | {"edge_tpus": shape(full["edge_tpus"])}
    for [keys] in lists:
        assert {"state", "fact", "hint", "node"} <= keys.keys()


def test_the_list_fits_100_columns_and_names_what_to_do(system, stand_in) -> None:
    stand_in.tell("devices 3")
    raspberry_pi_5(system)
    found = survey(str(stand_in.library), root=system.root)
    lines = lines_of(found)
    assert max(len(line) for line in lines) <= 100
    text = "\n".join(lines)
    for told in ("Cortex-A76", "dot product", "clock 1.50 of 2.40 GHz, governor ondemand"):
        assert told in text
    for name in ("usb 1-1", "usb 4-1", "pci 0000:01:00.0", "renderD128", "edgetpu:usb:2"):
        assert name in text
    assert "hint: use a blue (USB 3) port" in text
    assert "edgetpu:usb:0, edgetpu:usb:1, edgetpu:usb:2" in lines[-1]


def test_a_gpu_whose_device_file_is_missing_is_a_container_without_it(system) -> None:
    raspberry_pi_5(system)
    (system.root / "dev/dri/renderD128").unlink()
    [gpu] = find_gpus(system.root)
    assert (gpu.judgement.state, "--device /dev/dri" in gpu.judgement.hint) == (State.FAIL, True)


def test_a_governor_that_holds_the_clock_down_is_told(system) -> None:
    folder = "sys/devices/system/cpu/cpufreq/policy0"
    system.write(f"{folder}/scaling_governor", "powersave")
    system.write(f"{folder}/scaling_driver", "cpufreq-dt")
    held = look_at_processor(system.root).judgement
    assert (held.state, "ondemand" in held.hint) == (State.WARN, True)
    system.write(f"{folder}/scaling_driver", "intel_pstate")
    assert look_at_processor(system.root).judgement.state is State.OK


def test_a_runtime_that_ends_its_process_is_told(tmp_path, monkeypatch) -> None:
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    judged = look_at_runtime("litert", Event()).judgement
    assert (judged.state, "SIGILL" in judged.fact) == (State.FAIL, True)
    assert "SIGILL" in str(try_gpu(Event()))


def test_where_no_runtime_is_installed_the_list_says_how_to(tmp_path) -> None:
    missing = [look_at_runtime("tflite-runtime", Event())]
    if missing[0].version is not None:
        pytest.skip("tflite-runtime is installed here")
    other = Runtime("litert", None, missing[0].judgement)
    first, second = judge_together([other, *missing])
    assert (first.judgement.state, second.judgement.state) == (State.FAIL, State.NONE)
    assert "pip install" in first.judgement.hint


def test_the_command_lists_this_machine(capsys) -> None:
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0] == "CPU"
    assert "litert" in printed
