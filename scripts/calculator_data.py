"""Write the data of the calculator's page: docs/javascripts/ladder-data.js."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Write the file."""
    sys.path.insert(0, str(ROOT))
    from no502.ladder.calculator import javascript

    (ROOT / "docs" / "javascripts" / "ladder-data.js").write_text(javascript(), encoding="utf-8")


if __name__ == "__main__":
    main()
