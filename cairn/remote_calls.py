"""How many remote calls each host costs, counted over Ansible's forks. Control node only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from ansible.executor.task_executor import TaskExecutor

REMOTE = ("exec_command", "put_file", "fetch_file")


class CallCounter:
    """Counts each host's remote calls: commands and transfers over its connection.

    Tasks run in forked processes, so the counters are shared memory created before the fork, and
    the executor's method that returns a task's connection is wrapped. Local connections do not
    count.
    """

    def __init__(self) -> None:
        """Start without hosts."""
        self.counters: dict[str, Any] = {}

    def know(self, hosts: Iterable[str]) -> None:
        """Create counters for new hosts; must happen before their tasks are forked."""
        for host in hosts:
            self.counters.setdefault(host, multiprocessing.Value("L", 0))

    def counts(self) -> dict[str, int]:
        """Return the calls so far, by host."""
        return {host: counter.value for host, counter in self.counters.items()}

    def install(self, executor: Any = TaskExecutor) -> None:
        """Wrap the connections that `executor` gives to its tasks."""
        get_connection = executor._get_connection

        @wraps(get_connection)
        def counted(task: Any, *args: Any, **kwargs: Any) -> Any:
            connection = get_connection(task, *args, **kwargs)
            counter = self.counters.get(task._host.name)
            if counter is not None and connection.transport not in (
                "local",
                "ansible.builtin.local",
            ):
                for name in REMOTE:
                    setattr(connection, name, self._counting(getattr(connection, name), counter))
            return connection

        executor._get_connection = counted

    @staticmethod
    def _counting(call: Callable[..., Any], counter: Any) -> Callable[..., Any]:
        @wraps(call)
        def one_more(*args: Any, **kwargs: Any) -> Any:
            with counter.get_lock():
                counter.value += 1
            return call(*args, **kwargs)

        return one_more
