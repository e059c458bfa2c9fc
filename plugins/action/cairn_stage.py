"""Action: stage generations; at most two calls a host (packages, then everything else)."""

from __future__ import annotations

from typing import Any, ClassVar

from cairn.actions.building import BuildingAction
from cairn.errors import CairnError
from cairn.service.manifest import Manifest
from cairn.service.model import Model
from cairn.service.venv_cache import Archive, platform
from cairn_host.paths import POLICY
from cairn_host.service.transition import STAGING
from cairn_host.wire import pack

# apt writes its indexes without waiting for the disk: a power cut leaves them empty, but new and
# under their names, and apt never fetches them again.
FORGET = "find /var/lib/apt/lists -type f -delete; rm -f /var/cache/apt/*.bin"
# dpkg cannot configure what it has unpacked without something that it depends on: apt brings that.
MEND = (
    f"export DEBIAN_FRONTEND=noninteractive; {FORGET}; apt-get --quiet=2 update; "
    "dpkg --force-confold --configure -a; "
    "apt-get --yes --quiet=2 --fix-broken --no-install-recommends "
    "-o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install"
)


class ActionModule(BuildingAction):
    """Stages what is not staged yet of the given services (all that are stale by default).

    With `only: packages` it installs their Debian packages and stops there: one call for all
    services of a host is much quicker than one for each.
    """

    ARGUMENTS: ClassVar = {"services": None, "only": None}

    def work(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Stage; returns what was staged, by service."""
        state = self.host_state(task_vars)
        model = self.model(task_vars)
        wanted = self.argument("services") or sorted(task_vars.get("cairn_stale", {}))
        manifests = [m for role in wanted if (m := model.manifest(role))]
        missing = [m for m in manifests if not self.is_staged(m, state)]
        if not missing:
            return {"changed": False, "staged": {}}
        installed = self.install_packages(missing, task_vars)
        if self.argument("only") == "packages":
            return {"changed": bool(installed), "installed": installed}
        missing = [m for m in missing if not self.is_whole(m, state)]
        if not missing:
            return {"changed": bool(installed), "installed": installed, "staged": {}}
        if self.check_mode:
            self.remember_change(task_vars, self.planned(missing, state))
            return {"changed": True, "staged": {m["role"]: self.steps(m, state) for m in missing}}
        venvs = self.sources(missing, model, task_vars)
        building = any("lock" in source for source in venvs.values())
        payload = {
            "manifests": missing,
            "venvs": venvs,
            "builders": model.lock("build") if building else "",
            "uv": self.transfer_uv(state) if building else None,
            "environment": self.environment(task_vars),
        }
        done = self.call("cairn_stage", {"payload": pack(payload)}, task_vars)
        self.remember_change(task_vars, done.pop("state", {}))
        return done

    @staticmethod
    def steps(manifest: Manifest, state: dict[str, Any]) -> list[str]:
        """What staging makes, as the module tells it afterwards; accounts and folders apart."""
        venv = manifest["venv"]
        lacks = bool(venv) and venv["name"] not in state.get("venvs", [])
        return [
            *([f"virtualenv {venv['name']}"] if lacks else []),
            f"generation {manifest['id']}",
        ]

    @staticmethod
    def planned(manifests: list[Manifest], state: dict[str, Any]) -> dict[str, Any]:
        """What the host would say of itself: a plan shows each difference once."""
        services = {}
        for manifest in manifests:
            known = state.get("services", {}).get(
                manifest["role"], {"current": None, "running": {}}
            )
            staged = [*known.get("staged", []), manifest["id"]]
            services[manifest["role"]] = {**known, "staged": staged}
        venvs = {m["venv"]["name"] for m in manifests if m["venv"]}
        return {"services": services, "venvs": sorted(venvs | set(state.get("venvs", [])))}

    def sources(
        self, manifests: list[Manifest], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, dict[str, str]]:
        """Where the host gets each virtualenv from that it lacks: an archive, or else a lock."""
        state = self.host_state(task_vars)
        found: dict[str, dict[str, str]] = {}
        for venv in (m["venv"] for m in manifests if m["venv"]):
            archive = Archive.of(venv["name"], platform(state))
            if venv["name"] in state.get("venvs", []):
                continue
            if not archive.exists():
                found[venv["name"]] = {"lock": model.lock(venv["lock"])}
            elif not self.check_mode:
                place = self.transfer(archive.path, archive.path.name)
                found[venv["name"]] = {"archive": place, "sha256": archive.use()}
        return found

    @classmethod
    def is_staged(cls, manifest: Manifest, state: dict[str, Any]) -> bool:
        """Whether the host has this generation whole, and its packages."""
        known = set(state.get("packages", []))
        packages = set(manifest.get("packages", []))
        return cls.is_whole(manifest, state) and packages <= known

    @staticmethod
    def is_whole(manifest: Manifest, state: dict[str, Any]) -> bool:
        """Whether the host has this generation, and can restore what was changed of it."""
        service = state.get("services", {}).get(manifest["role"], {})
        if manifest["id"] not in service.get("staged", []):
            return False
        if manifest["venv"] and manifest["venv"]["name"] not in state.get("venvs", []):
            return False
        kinds = {cause["kind"] for cause in service.get("drift", [])}
        return not (service.get("current") == manifest["id"] and kinds & STAGING)

    def install_packages(self, manifests: list[Manifest], task_vars: dict[str, Any]) -> list[str]:
        """Install what is missing of the services' packages; their daemons do not start.

        A plan names them: apt could only be asked after the lists of a bare host were fetched.
        """
        state = self.host_state(task_vars)
        known = set(state.get("packages", []))
        packages = sorted({name for m in manifests for name in m["packages"]} - known)
        if not packages:
            return []
        if not self.check_mode:
            self.mend(state, task_vars)
            self.apt(packages, state, task_vars)
        self.remember(task_vars, packages=sorted(known | set(packages)))
        return packages

    def mend(self, state: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Finish a package run that a power cut ended, and let daemons start after later ones."""
        if state.get("dpkg_unfinished"):
            command = {"_raw_params": MEND, "_uses_shell": True}
            try:
                self.call("ansible.legacy.command", command, task_vars)
            except CairnError as error:
                raise CairnError(
                    f"a package run that was cut off could not be ended ({error}); "
                    "see for yourself: dpkg --configure -a; apt-get --fix-broken install"
                ) from None
        if state.get("policy_left"):
            gone = {"path": str(POLICY), "state": "absent"}
            self.call("ansible.legacy.file", gone, task_vars)

    def apt_with_indexes(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Call apt; where it knows no such package, once more with indexes fetched anew."""
        try:
            self.call("ansible.legacy.apt", arguments, task_vars)
        except CairnError as error:
            if "No package matching" not in str(error):
                raise
            command = {"_raw_params": FORGET, "_uses_shell": True}
            self.call("ansible.legacy.command", command, task_vars)
            self.call("ansible.legacy.apt", arguments, task_vars)

    def apt(self, packages: list[str], state: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Install Debian packages.

        apt only warns of a mirror that does not answer, and then knows no such package.
        """
        arguments = {
            "name": packages,
            "state": "present",
            "install_recommends": False,
            "policy_rc_d": 101,
            "update_cache": True,
            "lock_timeout": 300,
        }
        try:
            self.apt_with_indexes(arguments, task_vars)
        except CairnError as error:
            silent = [f"{url} ({why})" for url, why in state.get("mirrors", {}).items() if why]
            if not silent:
                raise
            raise CairnError(
                f"{error}\npackage sources that do not answer: {', '.join(silent)}; mend the "
                "connection, the DNS or /etc/apt/sources.list.d and run again"
            ) from None
