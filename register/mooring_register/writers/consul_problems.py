"""What a writer to Consul has to tell of: what was left out, what another holds, what the agent refused."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.errors import DescriptorError, DocumentError, InvalidInput
from mooring_register.consul.plan import Step
from mooring_register.writers.telling import Problems


class ConsulProblems:
    """Each is logged and counted when it is new; those that are now are for people."""

    def __init__(self) -> None:
        self._left_out: tuple[DescriptorError, ...] = ()
        self._conflicts: Mapping[str, InvalidInput] = {}
        self._refused: dict[str, tuple[Step, DocumentError]] = {}
        self._telling = Problems()

    @property
    def conflicts(self) -> list[str]:
        """Which ids others hold."""
        return [str(problem) for problem in self._conflicts.values()]

    @property
    def left_out(self) -> list[str]:
        """What has no place in Consul, and what the agent refused."""
        refused = (problem for _, problem in list(self._refused.values()))
        return [str(problem) for problem in (*self._left_out, *refused)]

    def may_pass(self) -> bool:
        """Whether some are there that another look at the agent may prove to be gone."""
        return bool(self._conflicts or self._refused)

    def planned(self, left_out: tuple[DescriptorError, ...], conflicts: Mapping[str, InvalidInput]) -> None:
        """Note what a plan could not take up."""
        self._left_out, self._conflicts = left_out, conflicts
        for problem in (*left_out, *conflicts.values()):
            self._telling.tell(problem)

    def refused(self, step: Step, problem: DocumentError) -> None:
        """Note what the agent refused."""
        self._refused[step.service.id] = (step, problem)
        self._telling.tell(problem)

    def was_refused(self, step: Step) -> bool:
        """Whether the agent refused just that, since `try_again`."""
        refused = self._refused.get(step.service.id)
        return refused is not None and refused[0] == step

    def try_again(self) -> None:
        """Forget what the agent refused: it may have been told otherwise."""
        self._refused = {}
