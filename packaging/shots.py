"""Every page of the window as PNG files: light and dark, at the design size and on a large screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from showcase import Showcase

from quantgui.types import UserError

SIZES = ((1280, 800), (1920, 1080))
THEMES = ("light", "dark")
README_PAGE = "inspect"
README_IMAGE = Path(__file__).resolve().parent / "images" / "window.png"


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 when every picture was written."""
    parser = argparse.ArgumentParser(prog="dev.py shots", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--page", action="append", help="only this page; may be repeated")
    parser.add_argument("--scheme", default="INT4", help="precision of the run that the pages show")
    parser.add_argument("--readme", action="store_true", help=f"also renew {README_IMAGE.name}, which README.md shows")
    options = parser.parse_args(argv)
    try:
        count = _take(options.out.resolve(), options.scheme, options.page, options.readme)
    except (UserError, OSError) as error:
        print(error, getattr(error, "hint", ""), file=sys.stderr)
        return 1
    print(f"{count} pictures in {options.out.resolve()}")
    return 0


def _take(out: Path, scheme: str, only: list[str] | None, readme: bool) -> int:
    with Showcase() as show:
        unknown = set(only or ()) - set(show.pages)
        if unknown:
            raise UserError(f"There is no page {', '.join(sorted(unknown))}.", hint=f"Pages: {', '.join(show.pages)}.")
        show.open_demo()
        show.quantize(scheme)
        count = 0
        for theme in THEMES:
            for width, height in SIZES:
                for page in only or show.pages:
                    path = out / f"{page}-{theme}-{width}x{height}.png"
                    show.shot(page, path, theme=theme, width=width, height=height)
                    count += 1
        if readme:
            show.shot(README_PAGE, README_IMAGE)
            count += 1
    return count


if __name__ == "__main__":
    sys.exit(main())
