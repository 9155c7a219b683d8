"""A conversation as a picture: speech bubbles, what tools said, the reward so far, and how it ended."""

from __future__ import annotations

import functools
import importlib.util
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...rewards.transcript import Message, Transcript

WIDTH, HEIGHT = 720, 960
HEADER, FOOTER, MARGIN, PADDING, GAP, LABEL = 76, 64, 24, 14, 14, 20
BUBBLE_WIDTH = 500
MAX_LINES = {"system": 9}
"""Lines of a message that are shown, by role; the middle of a longer one is left out."""
MAX_LINES_OTHERWISE = 18
MAX_CHARS = 6_000

PAPER, INK, FAINT, WHITE = "#f3f5fa", "#1c2333", "#6b7488", "#ffffff"
GOOD, BAD, CUT = "#1d8a4e", "#c8373a", "#a8710a"


WIDE_FONT = "matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf"
"""Has the letters and signs of many scripts; messages that need it are drawn with it where matplotlib is installed."""
PLAIN_SIGNS = {
    "—": "-",
    "–": "-",
    "−": "-",
    "“": '"',
    "”": '"',
    "„": '"',
    "’": "'",
    "‘": "'",
    "•": "-",
    "€": "EUR ",
    "£": "GBP ",
}
"""What stands for signs that a font may lack."""


class Font(NamedTuple):
    """A typeface, "" for the one that comes with Pillow or a file, at a size in pixels."""

    file: str
    size: int


class Look(NamedTuple):
    """How the messages of a role are drawn."""

    label: str
    fill: str
    outline: str
    ink: str
    size: int
    side: str


LOOKS = {
    "system": Look("instructions", "#e6eaf3", "#d5dbe9", "#4a5368", 15, "middle"),
    "user": Look("user", "#ffffff", "#d5dbe9", INK, 19, "left"),
    "tool": Look("tool", "#fff5d9", "#ecd48f", "#5b4300", 16, "left"),
    "assistant": Look("agent", "#2f66d8", "#2f66d8", WHITE, 19, "right"),
}


def check_pillow() -> None:
    """Raises ImportError, which names the extra, where Pillow is missing."""
    try:
        import PIL  # noqa: F401
    except ImportError as e:
        raise ImportError('render_mode="rgb_array" needs Pillow: pip install "dialogym[render]"') from e


class Scene(NamedTuple):
    """What a picture shows.

    Attributes:
        title: of the task.
        transcript: the conversation.
        rewards: of each agent turn so far.
        over: the conversation has ended by itself.
        draft: what the agent has said of a reply that is not finished, or None.
    """

    title: str
    transcript: Transcript
    rewards: Sequence[float]
    over: bool
    draft: str | None = None


def draw(scene: Scene) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8: the conversation, scrolled to its latest message."""
    from PIL import Image, ImageDraw

    bubbles = _bubbles(scene)
    bottom, boxes = HEIGHT - FOOTER - GAP, []
    for bubble in reversed(bubbles):
        boxes.append((bubble, bottom - bubble.height))
        bottom -= bubble.height + GAP
        if bottom < HEADER:
            break
    if bottom > HEADER:  # there is room for all: begin at the top
        boxes = [(bubble, top - (bottom - HEADER)) for bubble, top in boxes]
    image = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT), PAPER)  # shapes at twice the size, for smooth corners
    pen = ImageDraw.Draw(image)
    for bubble, top in boxes:
        _draw_shape(pen, bubble, top)
    _draw_frame(pen, scene)
    image = image.reduce(2)
    pen = ImageDraw.Draw(image)
    for bubble, top in boxes:
        _draw_words(pen, bubble, top)
    _draw_header(pen, scene)
    _draw_footer(pen, scene)
    return np.asarray(image).copy()


# Bubbles


class Bubble(NamedTuple):
    """A message, broken into lines."""

    look: Look
    font: Font
    lines: list[str]
    width: int
    note: str

    @property
    def height(self) -> int:
        return LABEL + 2 * PADDING + len(self.lines) * _line_height(self.look)

    @property
    def left(self) -> int:
        return {"left": MARGIN, "right": WIDTH - MARGIN - self.width, "middle": (WIDTH - self.width) // 2}[
            self.look.side
        ]


def _bubbles(scene: Scene) -> list[Bubble]:
    messages = list(scene.transcript.spoken_messages)
    replies = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    notes = dict(zip(replies[::-1], [f"{_signed(reward)}" for reward in reversed(scene.rewards)], strict=False))
    bubbles = [_bubble(message, notes.get(place, "")) for place, message in enumerate(messages)]
    if scene.draft is not None:
        look = LOOKS["assistant"]._replace(label="agent, not finished", fill="#dbe6fb", ink=INK)
        bubbles.append(_bubble({"role": "assistant", "content": f"{scene.draft} ..."}, "")._replace(look=look))
    return bubbles


def _bubble(message: Message, note: str) -> Bubble:
    role = message["role"]
    look = LOOKS.get(role, LOOKS["tool"]._replace(label=drawable(role, Font("", 13))))
    font = _font_for(message["content"], look.size)
    room = WIDTH - 2 * MARGIN if look.side == "middle" else BUBBLE_WIDTH
    lines = list(_wrapped(message["content"], font, room - 2 * PADDING))
    if not any(line.strip() for line in lines):
        lines = ["(nothing)"]
    most = MAX_LINES.get(role, MAX_LINES_OTHERWISE)
    if len(lines) > most:
        last = most // 4
        left_out = len(lines) - (most - 1)
        lines = [*lines[: most - 1 - last], f"... {left_out} more lines ...", *lines[len(lines) - last :]]
    text = max(_length(line, font) for line in lines)
    label = _length(look.label, Font("", 13)) + (_length(note, Font("", 13)) + 16 if note else 0)
    width = room if look.side == "middle" else min(room, int(max(text + 2 * PADDING, label, 56)) + 1)
    return Bubble(look, font, lines, width, note)


def _wrapped(text: str, font: Font, width: int) -> Iterator[str]:
    """``text`` in lines of at most ``width`` pixels."""
    if len(text) > MAX_CHARS:
        text = f"{text[: MAX_CHARS * 3 // 4]} ... {len(text) - MAX_CHARS} more characters ... {text[-MAX_CHARS // 4 :]}"
    for paragraph in drawable(text, font).split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if _length(longer, font) <= width:
                line = longer
                continue
            if line:
                yield line
            *full, line = _broken(word, font, width)
            yield from full
        yield line


def _broken(word: str, font: Font, width: int) -> list[str]:
    """A word in pieces that fit."""
    pieces = [""]
    for character in word:
        if pieces[-1] and _length(pieces[-1] + character, font) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


# Characters


def drawable(text: str, font: Font) -> str:
    """``text`` with what the font has no sign for written out: an emoji by its name, another letter by its number."""
    text = unicodedata.normalize("NFC", "\n".join(text.splitlines()).expandtabs(4))
    return "".join([character if character in "\n " else _sign(character, font) for character in text])


@functools.lru_cache(maxsize=4096)
def _sign(character: str, font: Font) -> str:
    if _has(character, font):
        return character
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf") or "\ufe00" <= character <= "\ufe0f":
        return ""  # accents that found no letter, joiners and other signs that have no shape of their own
    if character in PLAIN_SIGNS:
        return PLAIN_SIGNS[character]
    plain = "".join([part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)])
    if plain and all(_has(part, font) for part in plain):
        return plain
    if category in ("So", "Sk", "Sm"):
        return f":{unicodedata.name(character, f'U+{ord(character):04X}').lower().replace(' ', '-')}:"
    return f"<{ord(character):04X}>"


def _has(character: str, font: Font) -> bool:
    """The font has a sign for it, that is, draws something else than for a character that nobody has."""
    if character.isspace():
        return character == " "
    if not character.isprintable():
        return False
    face = _face(font)
    mask, missing = face.getmask(character), face.getmask("\U0010fffe")
    return (mask.size, bytes(mask)) != (missing.size, bytes(missing)) and mask.getbbox() is not None


# Drawing


@functools.lru_cache(maxsize=32)
def _face(font: Font) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(font.file, font.size) if font.file else ImageFont.load_default(size=font.size)


def _font_for(text: str, size: int) -> Font:
    """The font that comes with Pillow where it has all signs of a text, else the wide one where there is that."""
    font = Font("", size)
    signs = set(text[:MAX_CHARS]) - PLAIN_SIGNS.keys()
    if all(_has(sign, font) or not sign.isprintable() for sign in signs):
        return font
    return Font(_wide_font(), size)


@functools.lru_cache(maxsize=1)
def _wide_font() -> str:
    found = importlib.util.find_spec("matplotlib")
    folder = Path(found.origin).parents[1] if found and found.origin else None
    return str(folder / WIDE_FONT) if folder and (folder / WIDE_FONT).is_file() else ""


@functools.lru_cache(maxsize=16_384)
def _length(text: str, font: Font) -> float:
    return _face(font).getlength(text)


def _line_height(look: Look) -> int:
    return round(look.size * 1.38)


def _draw_shape(pen: Any, bubble: Bubble, top: int) -> None:
    look, left = bubble.look, bubble.left
    box = (left, top + LABEL, left + bubble.width, top + bubble.height)
    pen.rounded_rectangle([2 * edge for edge in box], radius=30, fill=look.fill, outline=look.outline, width=2)


def _draw_words(pen: Any, bubble: Bubble, top: int) -> None:
    look, left = bubble.look, bubble.left
    if look.side == "right":
        pen.text((left + bubble.width - 4, top), look.label, fill=FAINT, font=_face(Font("", 13)), anchor="ra")
        if bubble.note:
            color = {"+": GOOD, "-": BAD}.get(bubble.note[0], FAINT)
            place = (left + bubble.width - 16 - _length(look.label, Font("", 13)), top)
            pen.text(place, bubble.note, fill=color, font=_face(Font("", 13)), anchor="ra")
    else:
        pen.text((left + 4, top), look.label, fill=FAINT, font=_face(Font("", 13)))
    line_top = top + LABEL + PADDING
    for line in bubble.lines:
        pen.text((left + PADDING, line_top), line, fill=look.ink, font=_face(bubble.font))
        line_top += _line_height(look)


def _draw_frame(pen: Any, scene: Scene) -> None:
    """The bar at the bottom and how it ended, at twice the size."""
    top = HEIGHT - FOOTER
    pen.rectangle((0, 2 * top, 2 * WIDTH, 2 * HEIGHT), fill=WHITE)
    pen.line((0, 2 * top, 2 * WIDTH, 2 * top), fill="#d5dbe9", width=2)
    word, color = _outcome(scene)
    if word:
        right, middle = WIDTH - MARGIN, top + FOOTER // 2
        box = (right - _badge_width(word), middle - 20, right, middle + 20)
        pen.rounded_rectangle([2 * edge for edge in box], radius=40, fill=color)


def _badge_width(word: str) -> int:
    return int(_length(word, Font("", 20))) + 36


def _draw_header(pen: Any, scene: Scene) -> None:
    pen.rectangle((0, 0, WIDTH, HEADER - 12), fill=INK)
    middle = (HEADER - 12) // 2
    pen.text((MARGIN, middle), drawable(scene.title, Font("", 24)), fill=WHITE, font=_face(Font("", 24)), anchor="lm")
    turn, max_turns = scene.transcript.turn, scene.transcript.max_turns
    turns = f"turn {turn}" if max_turns is None else f"turn {turn} of {max_turns}"
    pen.text((WIDTH - MARGIN, middle), turns, fill="#c9d2e6", font=_face(Font("", 18)), anchor="rm")


def _draw_footer(pen: Any, scene: Scene) -> None:
    middle = HEIGHT - FOOTER // 2
    pen.text((MARGIN, middle), "reward so far", fill=FAINT, font=_face(Font("", 16)), anchor="lm")
    place = MARGIN + _length("reward so far", Font("", 16)) + 10
    pen.text((place, middle), _signed(sum(scene.rewards)), fill=INK, font=_face(Font("", 22)), anchor="lm")
    word, _ = _outcome(scene)
    pen.text(
        (WIDTH - MARGIN - _badge_width(word) // 2, middle), word, fill=WHITE, font=_face(Font("", 20)), anchor="mm"
    )


def _outcome(scene: Scene) -> tuple[str, str]:
    if scene.transcript.success:
        return "success", GOOD
    if scene.over:
        return "no success", BAD
    return ("out of turns", CUT) if scene.transcript.ended else ("", PAPER)


def _signed(number: float) -> str:
    """With its sign, and no more decimals than needed."""
    rounded = f"{abs(number):.4g}"
    return rounded if float(rounded) == 0 else f"{'+' if number > 0 else '-'}{rounded}"
