"""Staging of generations: at most two calls per host, packages and then the rest."""

from __future__ import annotations

from typing import Any

from cairn_host.paths import POLICY
from cairn_host.service.transition import STAGING
from cairn_host.wire import pack

from ..errors import CairnError
from ..service.manifest import Manifest
from ..service.model import Model
from ..service.venv_cache import Archive, platform
from .building import BuildingAction

# apt does not flush its indexes: a power cut leaves them empty with a current date, and apt does
# not fetch them again.
FORGET = "find /var/lib/apt/lists -type f -delete; rm -f /var/cache/apt/*.bin"
# dpkg cannot configure unpacked packages without their dependencies; apt installs these.
MEND = (
    f"export DEBIAN_FRONTEND=noninteractive; {FORGET}; apt-get --quiet=2 update; "
    "dpkg --force-confold --configure -a; "
    "apt-get --yes --quiet=2 --fix-broken --no-install-recommends "
    "-o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 install"
)


class StagingAction(BuildingAction):
    """Stages the generations of services that a host does not have yet."""

    def stage(
        self, roles: list[str], only: str | None, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Stage services; returns the steps by service.

        With `only` packages it installs their Debian packages and returns: one call for all
        services of a host is much faster than one per service.
        """
        state = self.host_state(task_vars)
        model = self.model(task_vars)
        manifests = [m for role in roles if (m := model.manifest(role))]
        missing = [m for m in manifests if not self.is_staged(m, state)]
        if not missing:
            return {"changed": False, "staged": {}}
        installed = self.install_packages(missing, task_vars)
        if only == "packages":
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
        """The steps of staging, as the module reports them, without accounts and folders."""
        venv = manifest["venv"]
        lacks = bool(venv) and venv["name"] not in state.get("venvs", [])
        return [
            *([f"virtualenv {venv['name']}"] if lacks else []),
            f"generation {manifest['id']}",
        ]

    @staticmethod
    def planned(manifests: list[Manifest], state: dict[str, Any]) -> dict[str, Any]:
        """The host's state after staging: a plan then shows each difference only once."""
        services = {}
        for manifest in manifests:
            present = state.get("services", {}).get(
                manifest["role"], {"current": None, "running": {}}
            )
            staged = [*present.get("staged", []), manifest["id"]]
            services[manifest["role"]] = {**present, "staged": staged}
        venvs = {m["venv"]["name"] for m in manifests if m["venv"]}
        return {"services": services, "venvs": sorted(venvs | set(state.get("venvs", [])))}

    def sources(
        self, manifests: list[Manifest], model: Model, task_vars: dict[str, Any]
    ) -> dict[str, dict[str, str]]:
        """The source of each missing virtualenv: its archive if there is one, else its lock."""
        state = self.host_state(task_vars)
        sources: dict[str, dict[str, str]] = {}
        for venv in (m["venv"] for m in manifests if m["venv"]):
            archive = Archive.of(venv["name"], platform(state))
            if venv["name"] in state.get("venvs", []):
                continue
            if not archive.exists():
                sources[venv["name"]] = {"lock": model.lock(venv["lock"])}
            elif not self.check_mode:
                place = self.transfer(archive.path, archive.path.name)
                sources[venv["name"]] = {"archive": place, "sha256": archive.use()}
        return sources

    @classmethod
    def is_staged(cls, manifest: Manifest, state: dict[str, Any]) -> bool:
        """Whether the host has this generation complete, and its packages."""
        packages = set(manifest.get("packages", []))
        return cls.is_whole(manifest, state) and packages <= set(state.get("packages", []))

    @staticmethod
    def is_whole(manifest: Manifest, state: dict[str, Any]) -> bool:
        """Whether the host has this generation, and can restore manual changes to it."""
        service = state.get("services", {}).get(manifest["role"], {})
        if manifest["id"] not in service.get("staged", []):
            return False
        if manifest["venv"] and manifest["venv"]["name"] not in state.get("venvs", []):
            return False
        kinds = {cause["kind"] for cause in service.get("drift", [])}
        return not (service.get("current") == manifest["id"] and kinds & STAGING)

    def install_packages(self, manifests: list[Manifest], task_vars: dict[str, Any]) -> list[str]:
        """Install the services' missing packages without starting their daemons.

        A plan only names them: apt can resolve them only after fetching a bare host's indexes.
        """
        state = self.host_state(task_vars)
        installed = set(state.get("packages", []))
        packages = sorted({name for m in manifests for name in m["packages"]} - installed)
        if not packages:
            return []
        if not self.check_mode:
            self.mend(state, task_vars)
            self.apt(packages, state, task_vars)
        self.remember(task_vars, packages=sorted(installed | set(packages)))
        return packages

    def mend(self, state: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Finish an interrupted package run, and remove a policy-rc.d that it left."""
        if state.get("dpkg_unfinished"):
            command = {"_raw_params": MEND, "_uses_shell": True}
            try:
                self.call("ansible.legacy.command", command, task_vars)
            except CairnError as error:
                raise CairnError(
                    f"an interrupted package run could not be finished ({error}); on the host, "
                    "run: dpkg --configure -a; apt-get --fix-broken install"
                ) from None
        if state.get("policy_left"):
            gone = {"path": str(POLICY), "state": "absent"}
            self.call("ansible.legacy.file", gone, task_vars)

    def apt_with_indexes(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> None:
        """Call apt; if it does not know a package, retry with fresh indexes."""
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

        apt only warns about a mirror that does not answer, and then does not know its packages.
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
                f"{error}\npackage sources that do not answer: {', '.join(silent)}; fix the "
                "connection, DNS or /etc/apt/sources.list.d and run again"
            ) from None
