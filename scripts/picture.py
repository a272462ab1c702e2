"""Draw the pictures of docs/: the ladder for the default settings, independent of the environment, and the diagrams."""

from pathlib import Path

from _diagrams import draw_handover, draw_idle_race
from _environment import forget_settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main() -> None:
    """Write the pictures."""
    forget_settings()

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
