"""Signals of a process whose main thread is a reactor's, and questions of other threads to it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

from twisted.internet.interfaces import IReactorFromThreads

T = TypeVar("T")

_ANSWER_SECONDS: Final = 2.0


def on_signal(reactor: IReactorFromThreads, number: signal.Signals, act: Callable[[], object]) -> None:
    """Let a signal call something, in the reactor's thread.

    A signal arrives between any two instructions: only the reactor's own turn is a safe place to act.
    """
    signal.signal(number, lambda *_: reactor.callFromThread(act))


def asked(reactor: IReactorFromThreads, question: Callable[[], T]) -> T:
    """Return what a function returns in the reactor's thread; to be called from any other."""
    answer: Future[T] = Future()
    reactor.callFromThread(_answer, answer, question)
    return answer.result(_ANSWER_SECONDS)


def _answer(answer: Future[T], question: Callable[[], T]) -> None:
    try:
        answer.set_result(question())
    except Exception as bug:  # noqa: BLE001 -- raised where it was asked
        answer.set_exception(bug)
