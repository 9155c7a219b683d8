"""``dialogym serve``: an agent for people and for programs."""

from __future__ import annotations

import contextlib
import re
import secrets
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from .cli_common import (
    ConfigOption,
    PlayedEnvOption,
    SeedOption,
    SetOption,
    TrustOption,
    console,
    env_for,
    errors,
    options_of,
    player_of,
)

ANY = ("0.0.0.0", "::")
"""Addresses that stand for all of a machine's."""
AT_A_TERMINAL = "human"
"""The agent that nobody can be served with."""
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")


def serve(
    agent: Annotated[str, typer.Argument(help="Folder of a trained agent, or the name of one, such as rule.")],
    env: PlayedEnvOption = None,
    set_: SetOption = None,
    config: ConfigOption = None,
    out: Annotated[
        Path, typer.Option(help="File that conversations are added to, one a line, as sft reads them.")
    ] = Path("runs/served.jsonl"),
    host: Annotated[
        str, typer.Option(help="Address to listen on; 127.0.0.1 is this machine alone, 0.0.0.0 all the world.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    public_name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="At which a reverse proxy is reached, such as chat.example; repeatable."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="DIALOGYM_TOKEN", show_envvar=True, help="That requests need; default: a new one."),
    ] = None,
    no_token: Annotated[bool, typer.Option("--no-token", help="Answer whoever reaches the server.")] = False,
    name: Annotated[str | None, typer.Option(help="That the agent goes by, as a model. Default: the agent's.")] = None,
    requests_per_minute: Annotated[int, typer.Option(min=1, help="That one address may send.")] = 300,
    max_waiting: Annotated[int, typer.Option(min=1, help="Replies that are waited for at once, by all.")] = 256,
    reply_seconds: Annotated[float, typer.Option(min=1, help="That a reply may take.")] = 120.0,
    seed: SeedOption = 0,
    trust: TrustOption = False,
) -> None:
    """Serve AGENT with its environment's tools: an OpenAI-compatible API, and a page on which people talk to it.

    docs/serving.md says what is kept, what is refused, and how programs ask.
    """
    try:
        from dialogym.deployment.app import Service
        from dialogym.deployment.server import Server, listen
    except ImportError as e:
        raise ImportError(f'serving needs {e.name}: pip install "dialogym[serve]"', name=e.name) from e
    from dialogym.deployment.limits import Limits
    from dialogym.deployment.records import Records
    from dialogym.deployment.talk import Host

    if no_token and token is not None:
        raise ValueError("--token and --no-token exclude each other")
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or not token):
        raise ValueError("--token must be printable ASCII without spaces")
    if name is not None and not name.strip():
        raise ValueError(f"--name must be the name that clients ask for, got {name!r}")
    public_names = [_checked_host(one) for one in public_name or []]
    player, made = _player(agent, env, set_, config, seed, trust)
    called = player.name if name is None else name
    env_id = made.spec.id if made.spec else ""
    limits = Limits(requests_per_minute=requests_per_minute, waiting=max_waiting, reply_seconds=reply_seconds)
    records = Records(out, {"agent": called, "env": env_id})
    if records.mended:
        errors.print(f"The last line of {out} was half written and is removed.", markup=False)
    key = None if no_token else token or secrets.token_urlsafe(24)
    local = _is_loopback(host)
    service = Service(
        Host(player, made, seed=seed),
        name=called,
        records=records,
        token=key,
        limits=limits,
        local=local,
        public_names=public_names,
        env=env_id,
    )
    with contextlib.closing(listen(host, port)) as socket:
        _announce(host, socket.getsockname()[1], key, told=token is not None, out=out, called=called)
        Server(service).run(sockets=[socket])


def _player(
    agent: str, env: str | None, set_: list[str] | None, config: list[str] | None, seed: int, trust: bool
) -> tuple:
    """The agent, and the environment that it plays."""
    from dialogym.envs import remake

    if agent == AT_A_TERMINAL:
        raise ValueError(f"the agent {AT_A_TERMINAL} sits at a terminal and cannot be served")
    made = env_for([agent], env, options_of(set_), trust)
    player = player_of(agent, made, seed, options_of(config), trust)
    return player, remake(made, interface=player.interface)


def _checked_host(name: str) -> str:
    """A host, with or without its port, as browsers send it."""
    if not _HOST.fullmatch(name):
        raise ValueError(f"--public-name must be a host such as chat.example, without https:// or a path, got {name!r}")
    return name


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _announce(host: str, port: int, key: str | None, told: bool, out: Path, called: str) -> None:
    """Says where the agent is, and its token where nobody knows it yet."""
    is_local = _is_loopback(host)
    host = "localhost" if host in ANY else host
    shown = f"[{host}]" if ":" in host else host
    at = f"http://{shown}:{port}"
    page = f"{at}/#{key}" if key and not told else f"{at}/"
    lines = [f"Talk to {called} at {page}", f"API: base_url={at}/v1 model={called}"]
    if key and not told:
        lines.append(f"Token: {key}")
    lines.append(f"Conversations are added to {out}. Ctrl-C ends.")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    if key is None and not is_local:
        errors.print("Anybody who reaches this address can talk to the agent: there is no token.", soft_wrap=True)
