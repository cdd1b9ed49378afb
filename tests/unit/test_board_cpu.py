"""Processor and GPUs as the kernel tells of them, on boards that are made up file by file."""

from pathlib import Path

import pytest
from fakes.sysfs import FakeSystem

from edge_detect.board.cpu import read_cpu
from edge_detect.board.gpu import find_render_nodes

A72 = "0x41", "0xd08", "fp asimd evtstrm crc32 cpuid"
V8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)
A76 = "0x41", "0xd0b", V8_2
A55 = "0x41", "0xd05", V8_2


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    return FakeSystem(tmp_path / "root")


def arm(system: FakeSystem, *cores: tuple[str, str, str], more: str = "") -> None:
    """What arm64 kernels write: a block for each core, then what the board is."""
    blocks = [
        f"processor\t: {number}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\n{more}"
        f"CPU implementer\t: {implementer}\nCPU architecture: 8\nCPU variant\t: 0x4\n"
        f"CPU part\t: {part}\nCPU revision\t: 1\n"
        for number, (implementer, part, features) in enumerate(cores)
    ]
    board = "Revision\t: c04170\nSerial\t\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0"
    system.write("proc/cpuinfo", "\n".join([*blocks, board]))
    system.write("sys/devices/system/cpu/online", f"0-{len(cores) - 1}")


def x86(system: FakeSystem, flags: str, cores: int = 2) -> None:
    blocks = [
        f"processor\t: {number}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  N100\n"
        f"flags\t\t: fpu sse2 {flags}\nbugs\t\t: spectre_v1\n"
        for number in range(cores)
    ]
    system.write("proc/cpuinfo", "\n".join(blocks))
    system.write("sys/devices/system/cpu/online", f"0-{cores - 1}")


def governor(system: FakeSystem, name: str, driver: str, most_khz: int, policy: int = 0) -> None:
    folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
    system.write(f"{folder}/scaling_governor", name)
    system.write(f"{folder}/scaling_driver", driver)
    system.write(f"{folder}/cpuinfo_max_freq", str(most_khz))


def test_a_raspberry_pi_5_has_the_dot_product_and_half_floats(system) -> None:
    arm(system, *[A76] * 4)
    system.cpufreq(0, 1_500_000, 2_400_000)
    governor(system, "ondemand", "cpufreq-dt", 2_400_000)
    cpu = read_cpu(system.root, usable=range(4))
    assert (cpu.model, cpu.cores, cpu.usable) == ("Cortex-A76", 4, (0, 1, 2, 3))
    assert cpu.features == {
        "asimd": True,
        "asimddp": True,
        "asimdhp": True,
        "i8mm": False,
        "sve": False,
        "bf16": False,
    }
    assert (cpu.governor, cpu.driver) == ("ondemand", "cpufreq-dt")
    assert (cpu.frequency_hz, cpu.frequency_limit_hz) == (1_500_000_000, 2_400_000_000)
    assert cpu.frequency_most_hz == 2_400_000_000


def test_a_raspberry_pi_4_lacks_the_dot_product(system) -> None:
    arm(system, *[A72] * 4)
    cpu = read_cpu(system.root)
    assert cpu.model == "Cortex-A72"
    assert [name for name, there in cpu.features.items() if there] == ["asimd"]


def test_a_32_bit_system_is_named_by_its_core_and_has_neon(system) -> None:
    features = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt lpae evtstrm crc32"
    arm(system, *[("0x41", "0xd08", features)] * 4, more="model name\t: ARMv7 Processor rev 3\n")
    cpu = read_cpu(system.root)
    assert cpu.model == "Cortex-A72"
    assert cpu.features["neon"]
    assert "asimd" not in cpu.features


def test_cores_of_two_kinds_are_counted_and_share_what_both_can_do(system) -> None:
    arm(system, *[A55] * 4, *[("0x41", "0xd0b", f"{V8_2} i8mm")] * 4)
    cpu = read_cpu(system.root)
    assert cpu.model == "4 x Cortex-A55 + 4 x Cortex-A76"
    assert (cpu.features["asimddp"], cpu.features["i8mm"]) == (True, False)


def test_a_core_without_a_known_name_is_told_by_its_numbers(system) -> None:
    arm(system, ("0x61", "0x022", "fp asimd"))
    assert read_cpu(system.root).model == "ARM core 0x61/0x22"


@pytest.mark.parametrize(
    ("flags", "there"),
    [
        ("avx avx2 fma avx_vnni", ["avx", "avx2", "fma", "avx_vnni"]),
        ("avx avx2 fma avx512f avx512_vnni", ["avx", "avx2", "fma", "avx512f", "avx512_vnni"]),
        ("sse4_1", []),
    ],
)
def test_an_x86_processor_tells_its_vector_instructions(system, flags, there) -> None:
    x86(system, flags)
    cpu = read_cpu(system.root)
    assert (cpu.model, cpu.cores) == ("Intel(R) N100", 2)
    assert [name for name, is_there in cpu.features.items() if is_there] == there
    assert "asimd" not in cpu.features


def test_a_virtual_machine_has_neither_governor_nor_clock(system) -> None:
    x86(system, "avx2")
    cpu = read_cpu(system.root)
    assert (cpu.governor, cpu.driver) == ("", "")
    assert (cpu.frequency_hz, cpu.frequency_limit_hz, cpu.frequency_most_hz) == (None, None, None)


def test_governors_that_differ_are_all_named(system) -> None:
    governor(system, "schedutil", "cpufreq-dt", 1_800_000, policy=0)
    governor(system, "performance", "cpufreq-dt", 2_400_000, policy=4)
    cpu = read_cpu(system.root)
    assert (cpu.governor, cpu.frequency_most_hz) == ("performance, schedutil", 2_400_000_000)


@pytest.mark.parametrize("text", ["", "processor", "processor : x\nflags\n", "\n\n\0\xff:::\n"])
def test_a_kernel_that_tells_nothing_useful_is_no_error(system, text) -> None:
    assert read_cpu(system.root).model == ""
    system.write("proc/cpuinfo", text)
    system.write("sys/devices/system/cpu/online", "3-,;-9")
    assert read_cpu(system.root).features == {}


def test_gpus_are_told_by_driver_and_device(system) -> None:
    described = {
        "renderD128": "DRIVER=v3d\nOF_NAME=v3d\nOF_COMPATIBLE_0=brcm,2712-v3d",
        "renderD129": "DRIVER=i915\nPCI_ID=8086:46A6\nPCI_SLOT_NAME=0000:00:02.0",
        "renderD130": "DRIVER=nvidia\nPCI_ID=10DE:2204\nPCI_SLOT_NAME=0000:01:00.0",
    }
    for name, text in described.items():
        system.write(f"sys/class/drm/{name}/device/uevent", text)
    system.write("sys/class/drm/card0/device/uevent", "DRIVER=vc4-drm")
    system.write(
        "proc/driver/nvidia/gpus/0000:01:00.0/information", "Model: \t\t NVIDIA RTX\nIRQ:   \t\t 10"
    )
    found = find_render_nodes(system.root)
    assert [(each.driver, each.device) for each in found] == [
        ("v3d", "brcm,2712-v3d"),
        ("i915", "pci 8086:46a6"),
        ("nvidia", "NVIDIA RTX"),
    ]
    assert found[0].node == system.root / "dev/dri/renderD128"


def test_a_gpu_that_the_kernel_does_not_describe_is_listed_all_the_same(system) -> None:
    system.write("sys/class/drm/renderD128/dev", "226:128")
    [found] = find_render_nodes(system.root)
    assert (found.name, found.driver, found.device) == ("renderD128", "", "")
