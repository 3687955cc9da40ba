"""What this host is: all that may explain a number measured here, and why some of it can't be known."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
from pathlib import Path

import psutil

from sgibench.machine.cpus import CpuPlan, cpu_quota, usable_cpus
from sgibench.machine.files import SYS_CPU, read
from sgibench.model import Machine

SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_fin_timeout",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "fs.file-max",
    "kernel.sched_autogroup_enabled",
)


def describe(cpus: CpuPlan) -> Machine:
    """Say all that may explain a number measured here."""
    return Machine(
        hostname_hash=hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12],
        cpu_model=_cpu_model(),
        cores=os.cpu_count() or 1,
        cpus_usable=usable_cpus(),
        server_cpus=cpus.servers,
        load_cpus=cpus.load,
        awake=cpus.awake,
        kernel=platform.release(),
        system=_system(),
        governor=read(SYS_CPU / "cpu0/cpufreq/scaling_governor"),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        memory_bytes=psutil.virtual_memory().total,
        container=_container(),
        cpu_quota=cpu_quota(),
        sysctls=_sysctls(),
        not_measured=_not_measured(cpus),
    )


def _cpu_model() -> str:
    for line in (read(Path("/proc/cpuinfo")) or "").splitlines():
        if line.startswith(("model name", "Model", "Hardware")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0] or platform.release()}"


def _container() -> str | None:
    if Path("/.dockerenv").exists():
        return "docker"
    if Path("/run/.containerenv").exists():
        return "podman"
    return os.environ.get("container")  # noqa: SIM112 - systemd's name for it is in lower case


def _sysctls() -> dict[str, str]:
    found = {name: read(Path("/proc/sys") / name.replace(".", "/")) for name in SYSCTLS}
    return {name: " ".join(value.split()) for name, value in found.items() if value is not None}


def _not_measured(cpus: CpuPlan) -> dict[str, str]:
    missing = {}
    if cpus.note:
        missing["pinning"] = cpus.note
    if not Path("/proc/stat").exists():
        missing["steal"] = f"{platform.system()} doesn't tell how much time a hypervisor took"
    if not Path("/proc/pressure/cpu").exists():
        missing["pressure"] = "this kernel has no pressure stall information (/proc/pressure)"
    if not Path("/proc/self/smaps_rollup").exists():
        missing["pss"] = "this system doesn't tell the proportional share of memory"
    if read(SYS_CPU / "cpu0/cpufreq/scaling_governor") is None:
        missing["governor"] = "the CPU's frequency policy isn't visible here (usual in virtual machines)"
    return missing
