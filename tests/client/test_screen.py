"""What a terminal gets that a pipe does not, and the other way round."""

import json
import re

import pytest

from tests.client.terminal import terminal
from tests.command import finished

GREEN = "\x1b[32m"


async def test_a_terminal_gets_colours_and_its_own_width(url: str) -> None:
    async with terminal("workers", "--url", url, columns=60) as shown:
        assert await shown.ended() == 0
        await shown.until(lambda screen: "bold" in screen)
        assert f"{GREEN}active" in shown.text
        lines = [re.sub(r" +[0-9dhms]+h", " T", line.rstrip()) for line in shown.screen.splitlines()]
        assert lines == [
            "WORKER      STATE   RUNNING  CONNECTED  PROPERTIES",
            "worker-123  active        2 T  OSFamily=Linux",
            "                                        cpu_arch=x86_64",
            "                                        cpu_count=8",
            "                                        memory_kb=16384",
            "worker-5    paused        0 T  pool=\\x9b31m[bold]",
        ]


async def test_no_color_is_obeyed(url: str) -> None:
    async with terminal("workers", "--url", url, NO_COLOR="1") as shown:
        assert await shown.ended() == 0
        await shown.until(lambda screen: "bold" in screen)
        assert GREEN not in shown.text


@pytest.mark.parametrize("command", ["workers", "operations", "status"])
async def test_a_pipe_gets_whole_lines_without_colours(url: str, command: str) -> None:
    code, out, _ = await finished(command, "--url", url, COLUMNS="20", TERM="xterm-256color")
    assert code == 0
    assert all(line.isprintable() and line == line.rstrip() for line in out.splitlines())
    assert max(map(len, out.splitlines())) > 50


async def test_json_on_a_terminal_means_the_same_and_obeys_nobody(url: str) -> None:
    async with terminal("operations", "--json", "--url", url, columns=10_000) as shown:
        assert await shown.ended() == 0
        await shown.until(lambda screen: screen.endswith("]\r\n"))
        assert shown.text.rstrip().isprintable()
        (hostile,) = (each for each in json.loads(shown.text) if each["stage"] == "Queued")
        assert hostile["clients"][0]["target_id"] == "//[red]evil[/red]:\x1b]0;x\x07\u202e"
