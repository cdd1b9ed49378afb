"""A root folder with the kernel's small files, laid out as the kernel lays them out."""

from collections.abc import Mapping
from pathlib import Path

__all__ = ["FakeSystem"]


class FakeSystem:
    """Builds and changes the tree.

    Args:
        root: An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, text: str | bytes) -> Path:
        """Make a file as the kernel would: text ends with a new line."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else f"{text}\n".encode())
        return file

    def thermal_zone(self, number: int, kind: str, temperature_c: float) -> None:
        """A sensor."""
        zone = f"sys/class/thermal/thermal_zone{number}"
        self.write(f"{zone}/type", kind)
        self.write(f"{zone}/temp", f"{temperature_c * 1000:.0f}")

    def hwmon(self, number: int, name: str, values: Mapping[str, int]) -> None:
        """A chip with sensors."""
        self.write(f"sys/class/hwmon/hwmon{number}/name", name)
        for file, value in values.items():
            self.write(f"sys/class/hwmon/hwmon{number}/{file}", str(value))

    def cpufreq(self, policy: int, current_khz: int, most_khz: int) -> None:
        """A group of cores with one clock."""
        folder = f"sys/devices/system/cpu/cpufreq/policy{policy}"
        self.write(f"{folder}/scaling_cur_freq", str(current_khz))
        self.write(f"{folder}/scaling_max_freq", str(most_khz))

    def throttled(self, flags: int, soc: str = "soc") -> None:
        """The firmware's flags, as the kernel writes them: hexadecimal without 0x."""
        self.write(f"sys/devices/platform/{soc}/{soc}:firmware/get_throttled", f"{flags:x}")

    def process(self, *, kilobytes: int, threads: int, open_files: int) -> None:
        """The process that looks."""
        self.write(
            "proc/self/status", f"Name:\tpython3\nVmRSS:\t{kilobytes:8d} kB\nThreads:\t{threads}"
        )
        # The one that reads the folder comes on top.
        for number in range(open_files + 1):
            self.write(f"proc/self/fd/{number}", "")

    def meminfo(self, **kilobytes: int) -> None:
        """Memory, by the kernel's names, in kB."""
        lines = [f"{name}:".ljust(16) + f"{value:8d} kB" for name, value in kilobytes.items()]
        self.write("proc/meminfo", "\n".join(lines))

    def usb_device(self, port: str, ids: tuple[str, str], speed_mbps: int) -> Path:
        """A USB device; returns its device file."""
        folder = f"sys/bus/usb/devices/{port}"
        bus = int(port.split("-", maxsplit=1)[0])
        values = {"idVendor": ids[0], "idProduct": ids[1], "speed": str(speed_mbps)}
        for name, value in {**values, "busnum": str(bus), "devnum": "4"}.items():
            self.write(f"{folder}/{name}", value)
        return self.write(f"dev/bus/usb/{bus:03d}/004", "")

    def pci_edge_tpu(self, address: str = "0000:01:00.0", driver: str = "apex") -> None:
        """An Edge TPU on PCI Express; without a driver it has no device file."""
        folder = self.root / "sys/bus/pci/devices" / address
        self.write(f"sys/bus/pci/devices/{address}/vendor", "0x1ac1")
        self.write(f"sys/bus/pci/devices/{address}/device", "0x089a")
        if not driver:
            return
        (folder / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")
        entry = self.root / "sys/class/apex/apex_0"
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(f"../../../{address}")
        self.write("dev/apex_0", "")

    def raspberry_pi_4(self) -> None:
        """A Raspberry Pi 4 at rest, on Raspberry Pi OS bookworm."""
        self.write("proc/device-tree/model", b"Raspberry Pi 4 Model B Rev 1.4\0")
        self.thermal_zone(0, "cpu-thermal", 48.7)
        self.cpufreq(0, 1_500_000, 1_800_000)
        self.throttled(0)
        self.hwmon(0, "cpu_thermal", {"temp1_input": 48_686})
        self.hwmon(1, "rpi_volt", {"in0_lcrit_alarm": 0})
        self.process(kilobytes=123_456, threads=11, open_files=25)
        self.meminfo(
            MemTotal=3_884_360,
            MemAvailable=3_012_000,
            SwapTotal=204_796,
            SwapFree=204_796,
            CmaTotal=524_288,
            CmaFree=401_000,
        )
        self.write(
            "etc/os-release",
            'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian',
        )
