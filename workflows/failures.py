"""What went wrong, read out of Temporal's chain of failures."""

import asyncio
from typing import NoReturn

from temporalio.exceptions import ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as TimedOut

from schemas.errors import CATALOGUE, RedoubtError

CANCELLED = "The run was cancelled."


def code_of(failure: BaseException) -> str:
    """The catalogue's code of the outermost cause that has one; a step that ran out of time says so."""
    told = _told(failure)
    if isinstance(told, RedoubtError):
        return told.code
    if told is not None:
        return str(told.type)
    timed_out = any(isinstance(cause, TimedOut) for cause in _causes(failure))
    return "DependencyUnavailable" if timed_out else "Internal"


def words_of(failure: BaseException) -> str:
    """What the error of `code_of` says to people: what happened and what to do."""
    told = _told(failure)
    if isinstance(told, RedoubtError):
        return str(told)
    if told is not None:
        return told.message
    for cause in reversed(_causes(failure)):
        if isinstance(cause, ApplicationError):
            return cause.message
    return str(failure) or CANCELLED


def detail_of(failure: BaseException) -> str:
    """What happened, without what to do: for a line of a table, or inside another error's words."""
    return words_of(failure).removesuffix(CATALOGUE[code_of(failure)].what_to_do).rstrip()


def end_with(failure: BaseException, more: str = "") -> NoReturn:
    """End the run with what went wrong, in words for people; a cancelled run ends as cancelled.

    `more`: what there is to say beside it.
    """
    if isinstance(failure, asyncio.CancelledError) or is_cancelled_exception(failure):
        raise failure
    words = f"{words_of(failure)} {more}".rstrip()
    raise ApplicationError(words, type=code_of(failure), non_retryable=True) from failure


def _told(failure: BaseException) -> RedoubtError | ApplicationError | None:
    for cause in _causes(failure):
        if isinstance(cause, RedoubtError):
            return cause
        if isinstance(cause, ApplicationError) and cause.type in CATALOGUE:
            return cause
    return None


def _causes(failure: BaseException) -> list[BaseException]:
    chain = []
    at: BaseException | None = failure
    while at is not None:
        chain.append(at)
        at = at.__cause__
    return chain
