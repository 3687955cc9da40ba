"""Under which conditions two runs were measured, and where these differ."""

from __future__ import annotations

from sgibench.model import Machine, Run, RunInfo


def machine_key(machine: Machine) -> tuple[object, ...]:
    """What makes two hosts the same machine for a comparison."""
    return (machine.hostname_hash, machine.cpu_model, machine.cores, machine.cpu_quota)


def differences(old: RunInfo, new: RunInfo) -> tuple[str, ...]:
    """All that differs between the conditions of two runs, one sentence each; the machine comes first."""
    a, b = old.machine, new.machine
    named = [
        ("machine", a.hostname_hash, b.hostname_hash),
        ("CPU", a.cpu_model, b.cpu_model),
        ("cores", a.cores, b.cores),
        ("CPU quota", a.cpu_quota, b.cpu_quota),
        ("server CPUs", len(a.server_cpus), len(b.server_cpus)),
        ("kernel", a.kernel, b.kernel),
        ("governor", a.governor, b.governor),
        ("CPUs while they wait", _waiting(a), _waiting(b)),
        ("Python", a.python, b.python),
        ("sgibench", old.version, new.version),
        ("profile", old.profile, new.profile),
    ]
    found = [f"{name}: {before} in the old run, {after} in the new" for name, before, after in named if before != after]
    if {*_theirs(old)} & {*_theirs(new)}:
        found.append(
            f"{', '.join(sorted({*_theirs(old)} & {*_theirs(new)}))}: no run knows whether it is still the same"
        )
    found += [
        f"{name}: {a.sysctls[name]} in the old run, {b.sysctls[name]} in the new"
        for name in sorted(a.sysctls.keys() & b.sysctls.keys())
        if a.sysctls[name] != b.sysctls[name]
    ]
    for server in sorted(old.environments.keys() & new.environments.keys()):
        pythons = [info.environments[server].python for info in (old, new)]
        before, after = (_versions(info.environments[server].packages) for info in (old, new))
        moved = [] if pythons[0] == pythons[1] else [f"Python {pythons[0]} -> {pythons[1]}"]
        moved += [
            f"{name} {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        if moved:
            found.append(f"{server}: {', '.join(moved)}")
    return tuple(found)


def _theirs(info: RunInfo) -> tuple[str, ...]:
    """Name what is the user's own and may have been changed between two runs."""
    own = tuple(info.own.apps.values()) if info.own is not None else ()
    return (*own, *info.catalogues)


def _waiting(machine: Machine) -> str:
    return "kept awake" if machine.awake else "may sleep"


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: version for name, _equals, version in (package.partition("==") for package in packages)}


def unchanged(cell: str, old: Run, new: Run) -> bool:
    """Whether what was installed for the cell, and from where, is the same in both runs.

    Of an app of the user's, and of what stands in a folder of the user's, no run knows whether it is still the same.
    """
    server, app = cell.split("/")[:2]
    for info in (old.info, new.info):
        if info.catalogues or (info.own is not None and app in info.own.apps):
            return False
    before, after = (
        run.info.environments.get(f"{server} {app}", run.info.environments.get(server)) for run in (old, new)
    )
    if before is None or after is None:
        return False
    same = before.packages == after.packages and sorted(before.requirements) == sorted(after.requirements)
    return same and before.python == after.python
