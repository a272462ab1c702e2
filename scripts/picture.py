"""Draw ``docs/ladder.svg`` for the default settings, whatever the environment says."""

import os
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "docs" / "ladder.svg"


def main() -> None:
    """Write the picture."""
    for name in [name for name in os.environ if name.startswith(("PROXY_", "GUNICORN_", "FRONT_"))]:
        del os.environ[name]
    os.chdir("/")  # no .env

    from gunicorn_conf import ServerSettings  # noqa: PLC0415  it computes when it is imported
    from no502.ladder_svg import draw  # noqa: PLC0415

    TARGET.write_text(draw(ServerSettings()), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
