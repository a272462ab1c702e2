"""Copy tables and plots of benchmarks/results into the pages that show them.

A page says what it wants in a comment, and what stands between that and the closing one is replaced, once that report
exists:

    <!-- benchmarks/results/fleet.md: Predicted and measured -->
    <!-- end of the table -->

``--check`` writes nothing and leaves with 1 when a page or a plot is not what the results are.
"""

import argparse
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
_PLACE = re.compile(r"(<!-- (benchmarks/results/[\w-]+\.md): (.+?) -->\n).*?(<!-- end of the table -->\n)", re.DOTALL)
_PLOT = re.compile(r"(!\[[^\]]*\]\()([\w-]+\.svg)\)")


def filled(page: Path, plots: dict[Path, str]) -> str:
    """Return a page with the sections that it asks for; the plots that they show are added to ``plots``.

    Raises:
        SystemExit: There is no such section.
    """

    def section(found: re.Match[str]) -> str:
        source = ROOT / found[2]
        if not source.is_file():
            return found[0]  # not measured by the script yet: the page keeps the table that it has
        parts = re.split(r"^## (.+)\n", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
        sections = dict(zip(parts[1::2], parts[2::2], strict=True))
        if found[3] not in sections:
            message = f"{page}: {found[2]} has no section {found[3]!r}; there are: {', '.join(sections)}"
            raise SystemExit(message)

        def plot(shown: re.Match[str]) -> str:
            target = PICTURES / shown[2]
            plots[target] = (source.parent / shown[2]).read_text(encoding="utf-8")
            return f"{shown[1]}{os.path.relpath(target, page.parent)})"

        return f"{found[1]}\n{_PLOT.sub(plot, sections[found[3]].strip())}\n\n{found[4]}"

    return _PLACE.sub(section, page.read_text(encoding="utf-8"))


def main() -> int:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    wanted: dict[Path, str] = {}
    for page in sorted(DOCS.rglob("*.md")):
        wanted[page] = filled(page, wanted)
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if parser.parse_args().check:
        for path in wrong:
            print(f"{path.relative_to(ROOT)}: not what benchmarks/results is; run make docs", file=sys.stderr)
        return 1 if wrong else 0
    for path in wrong:
        path.write_text(wanted[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
