"""Draw the pictures of docs/: the ladder for the default settings, independent of the environment, and the diagrams."""

import os
from pathlib import Path

from _diagrams import draw_handover, draw_idle_race

from no502.ladder.settings import is_ours

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write the pictures."""
    for name in [name for name in os.environ if is_ours(name)]:
        del os.environ[name]
    os.chdir("/")  # no .env

    from gunicorn_conf import ServerSettings
    from no502.ladder.picture import draw

    pictures = {
        "ladder.svg": draw(ServerSettings()),
        "ladder-portrait.svg": draw(ServerSettings(), portrait=True),
        "pictures/idle-race.svg": draw_idle_race(),
        "pictures/handover.svg": draw_handover(),
    }
    for name, text in pictures.items():
        (DOCS / name).write_text(text, encoding="utf-8")
        print(DOCS / name)


if __name__ == "__main__":
    main()
