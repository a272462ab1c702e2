"""``python -m no502``."""

import sys

from no502.entry import main

if __name__ == "__main__":
    # As with the console script, a gunicorn_conf.py in the working directory must not hide the installed one.
    sys.path.append(sys.path.pop(0))
    main()
