"""Conversations that a chat template is tried with: what templates are known to treat in their own ways."""

from __future__ import annotations

_SPACED = "\n\n  you are a guide .\n "

SAMPLES: tuple[list[dict[str, str]], ...] = tuple(
    [{"role": role, "content": content} for role, content in messages]
    for messages in (
        [("user", "hello there")],
        [("system", "you help .")],
        [("system", "you help ."), ("user", "hello there")],
        [("user", "hello"), ("user", "are you there ?")],
        [("system", _SPACED), ("user", _SPACED), ("assistant", _SPACED), ("tool", _SPACED), ("user", _SPACED)],
        [("system", "a"), ("user", " b"), ("assistant", " c"), ("user", " d"), ("assistant", "e "), ("user", "f ")],
        [("user", "\tHello"), ("assistant", "it's 3"), ("assistant", "\nso"), ("user", ""), ("assistant", "")],
        [("assistant", "good day"), ("user", "Good day!"), ("system", "the rules change"), ("user", "why ?")],
        [("user", "a"), ("assistant", "<think>\nb\n</think>\n\nc"), ("user", "d"), ("assistant", "e</think>f")],
        [
            ("system", "you help ."),
            ("user", "hello there"),
            ("assistant", "search(a=b)"),
            ("tool", "2 found"),
            ("assistant", "which one ?"),
            ("user", "the [name] , please ."),
            ("assistant", "search(c=d)"),
            ("tool", '{"found": 3}'),
            ("tool", "none"),
            ("assistant", "this one ?"),
            ("tool", "none"),
            ("user", "yes"),
        ],
    )
)
