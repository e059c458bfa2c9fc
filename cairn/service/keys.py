"""Keystone's key repositories: which of the controllers' keys to keep. Control node only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CairnError


def newest_keys(
    answers: Sequence[Mapping[str, Any]], controllers: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The key repositories that every controller should have, from those of each controller.

    `answers` are the results of a loop over controllers: `item` is the name, `repositories` maps a
    path to {number: key} and is missing for skipped controllers. The repository that was rotated
    last wins: the primary key has the highest number. A repository without keys on any controller
    is left out, and gets new keys.

    CairnError if a choice would make tokens or stored credentials unreadable: controllers have
    different keys of the same number, or none has keys and some did not answer.
    """
    answers = [answer for answer in answers if "repositories" in answer]
    newest: dict[str, dict[str, str]] = {}
    holder: dict[str, str] = {}
    for answer in answers:
        for repository, keys in answer["repositories"].items():
            if not keys:
                continue
            chosen = newest.get(repository, {})
            rank, best = max(map(int, keys)), max(map(int, chosen), default=-1)
            if rank == best and keys[str(rank)] != chosen[str(rank)]:
                raise CairnError(
                    f"{holder[repository]} and {answer['item']} have different keys {rank} in "
                    f"{repository}: empty that folder on the controller whose keys to discard"
                )
            if rank > best:
                newest[repository], holder[repository] = dict(keys), answer["item"]
    silent = sorted(set(controllers) - {answer["item"] for answer in answers})
    missing = sorted({path for answer in answers for path in answer["repositories"]} - set(newest))
    if missing and silent:
        raise CairnError(
            f"no controller that answers has keys in {', '.join(missing)}, but "
            f"{', '.join(silent)} may: run again when all controllers answer"
        )
    return newest
