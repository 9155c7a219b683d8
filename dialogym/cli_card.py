"""``dialogym card`` and ``push``: an agent is described, and handed to a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .cli_common import SetOption, TrustOption, console, env_for, options_of

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a trained agent.")]
GoalsOption = Annotated[
    int,
    typer.Option(min=0, help="Test goals to score it, the rule and floors on; 0 takes the scores that are there."),
]
PeopleOption = Annotated[
    Path | None, typer.Option(help="Conversations that `dialogym serve` kept: what people said is on the card.")
]
LicenseOption = Annotated[
    str | None, typer.Option("--license", help="Of the weights, as the hub names it, such as apache-2.0.")
]
EnvOption = Annotated[
    str | None, typer.Option("--env", help="Id of the environment. Default: the one it was saved with.")
]


def card(
    folder: FolderArgument,
    goals: GoalsOption = 200,
    people: PeopleOption = None,
    license_: LicenseOption = None,
    env: EnvOption = None,
    set_: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Write the card of the agent in FOLDER, its README.md: task, data, scores with intervals, floors, limits.

    Scores are kept in FOLDER/evaluation.json, and taken from there as long as the agent and the goals are the same.
    """
    path = _write_card(folder, goals, people, license_, env, set_, trust)
    console.print(f"Card: {path}", soft_wrap=True, markup=False, highlight=False)


def _write_card(
    folder: Path,
    goals: int,
    people: Path | None,
    license: str | None,
    env: str | None,
    set_: list[str] | None,
    trust: bool,
) -> Path:
    from rich.status import Status

    from dialogym.agents.base import read_description
    from dialogym.deployment.card import opinions_of, write_card
    from dialogym.deployment.measurement import measure

    read_description(folder)
    if people is not None:
        opinions_of(people)  # what is wrong with the file is told before the agent is scored
    scored = None
    if goals:
        made: Any = None if env is None and set_ is None else env_for([str(folder)], env, options_of(set_), trust)
        with Status("", console=console) as status:
            scored = measure(folder, made, goals, lambda name: status.update(f"scoring {name}"), trust)
    return write_card(folder, people, license, scored)


def push(
    folder: FolderArgument,
    repo: Annotated[str, typer.Argument(help="On the hub: OWNER/NAME, or NAME for your own.")],
    private: Annotated[bool, typer.Option("--private", help="Only you see it; for a repository that is new.")] = False,
    goals: GoalsOption = 200,
    people: PeopleOption = None,
    license_: LicenseOption = None,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "Add an agent of dialogym",
    env: EnvOption = None,
    set_: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Write the card of the agent in FOLDER and push it all to the Hugging Face hub, in one commit.

    Your token is taken from HF_TOKEN, or from `hf auth login`; HF_ENDPOINT is another hub.
    """
    from dialogym.agents.base import read_description
    from dialogym.deployment.hub import check_account, check_repo, push_to_hub

    check_repo(repo)
    read_description(folder)
    check_account()
    _write_card(folder, goals, people, license_, env, set_, trust)
    url = push_to_hub(folder, repo, private=private, message=message)
    console.print(f"Pushed to {url}", soft_wrap=True, markup=False, highlight=False)
