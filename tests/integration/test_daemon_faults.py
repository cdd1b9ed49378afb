"""What happens to the daemon at bad moments, and what it leaves behind."""

import fcntl
import os
import socket
import struct
import termios

from support.daemons import MODEL, count_of, running_daemon
from support.ports import free_port
from support.waiting import wait_for

from edge_detect.app.cli import main

CAMERA = f"""source = "synthetic://?size=320x180&fps=30&realtime=true"
model = "{MODEL}"
"""
LOST = 'sink_dropped_total{camera="yard"'


def waiting_in(pipe: int) -> int:
    """Bytes that nobody has read."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"0000"))
    return count


def blocks_its_writer(pipe: int, port: int) -> bool:
    """Whether lines were lost meanwhile, and none was written: there is no room for one."""
    before, lost = waiting_in(pipe), count_of(port, LOST)
    wait_for(lambda: count_of(port, LOST) > lost + 10 or waiting_in(pipe) != before)
    return 0 < before == waiting_in(pipe)


def test_a_reload_makes_nothing_ready_that_is_not(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/live?open_timeout=30"
        config = f'[cameras.yard]\nsource = "{url}"\nmodel = "{MODEL}"\n'
        with running_daemon(tmp_path, config) as daemon:
            connection, _ = silent.accept()
            daemon.reload()
            wait_for(lambda: "applied anew" in daemon.log)
            wait_for(lambda: len(daemon.heard("WATCHDOG")) >= 2)
            assert daemon.heard("READY") == daemon.heard("RELOADING") == []
            connection.close()


def test_a_camera_that_hangs_when_it_is_taken_out_of_the_file_is_trouble(tmp_path):
    pipe = tmp_path / "lines.jsonl"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    door, yard = f"[cameras.door]\n{CAMERA}", f"[cameras.yard]\n{CAMERA}"
    port = free_port()
    metrics = f'[metrics]\nlisten = "127.0.0.1:{port}"\n'
    with running_daemon(tmp_path, f'{door}{yard}sinks = ["{pipe}"]\n{metrics}') as daemon:
        daemon.wait_until_ready()
        wait_for(lambda: blocks_its_writer(reader, port))
        daemon.reload(f"{door}{metrics}")
        wait_for(lambda: "no progress: yard: stages that did not stop" in daemon.log)
        assert "started again" not in daemon.log
    os.close(reader)


def test_no_other_option_goes_with_a_file_not_even_one_that_is_zero(tmp_path, capsys):
    assert main(["run", "--config", str(tmp_path / "config.toml"), "--threshold", "0"]) == 78
    assert "'threshold' was given as well" in capsys.readouterr().err
