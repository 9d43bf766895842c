"""Keeps programs running until a stop signal: restarts those that die, and shows the output of
each."""

import signal
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import FrameType

from tools.devserver import processes, terminal
from tools.devserver.processes import Program, Running
from tools.devserver.terminal import say

REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STEADY = 30.0
LONGEST_DELAY = 5.0


class Stopped(Exception):
    """A stop signal has arrived; raised only by pause()."""


class Supervisor:
    def __init__(self, pids: Path) -> None:
        self.pids = pids
        self.services: list[Running] = []
        self.children: list[Running] = []
        self._deaths: dict[str, list[float]] = {}
        self._requests = 0
        for request in REQUESTS:
            signal.signal(request, self._request_stop)

    def run(self, program: Program) -> int:
        """Run the program to its end. Returns its exit code."""
        child = self.keep(program)
        while child.process.poll() is None:
            self.pause(0.05)
        self.children.remove(child)
        processes.stop([child], self.pids)
        return child.process.returncode

    def keep(self, program: Program) -> Running:
        child = self._start(program)
        self.children.append(child)
        return child

    def watch(self) -> None:
        while True:
            self.pause(0.2)
            self.restart_dead()

    def restart_dead(self) -> None:
        for group in (self.services, self.children):
            for place, each in enumerate(group):
                if each.process.poll() is not None:
                    group[place] = self._restart(each)

    def pause(self, seconds: float) -> None:
        end = monotonic() + seconds
        while not self._requests and monotonic() < end:
            sleep(0.05)
        if self._requests:
            raise Stopped

    def stop(self) -> None:
        """Stop the children only. services.started stops the services, after the programs that use
        them."""
        processes.stop(self.children, self.pids)

    def _request_stop(self, number: int, frame: FrameType | None) -> None:
        self._requests += 1
        if self._requests > 1:
            say("killing everything")
            processes.kill([*self.children, *self.services])

    def _restart(self, dead: Running) -> Running:
        name, code = dead.program.name, dead.process.returncode
        # Longer each time it dies again soon.
        now = monotonic()
        deaths = [*(death for death in self._deaths.get(name, []) if now - death < STEADY), now]
        self._deaths[name] = deaths
        delay = min(len(deaths), LONGEST_DELAY)
        say(f"{name} exited with code {code}; restarting in {delay:.0f} s")
        self.pause(delay)
        processes.stop([dead], self.pids)  # it may have left children behind
        return self._start(dead.program)

    def _start(self, program: Program) -> Running:
        child = processes.start(program, self.pids)
        if child.process.stdout:
            name = None if program.for_users else program.name
            Thread(target=terminal.copy, args=(child.process.stdout, name), daemon=True).start()
        return child
