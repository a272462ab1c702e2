#!/bin/sh
# Create the virtual environment $1 with the locked development tools and this checkout (editable).
# PYTHON names the interpreter (default python3). uv is used where it is installed: it is several times faster.
set -eu

venv=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    found=$("$python" -V 2>&1) || found="not there"
    echo "$python is $found; Python 3.11 or newer is needed: make install PYTHON=python3.13" >&2
    exit 1
}
version='import sys; print(sys.version_info[:2])'
if [ -f "$venv/pyvenv.cfg" ] && [ "$("$venv/bin/python" -c "$version" 2>/dev/null)" != "$("$python" -c "$version")" ]; then
    rm -rf "$venv"
fi

if command -v uv >/dev/null 2>&1; then
    echo "installing into $venv with uv"
    uv venv --quiet --allow-existing --python "$python" "$venv"
    uv pip install --python "$venv/bin/python" --requirement requirements-dev.lock
    uv pip install --quiet --python "$venv/bin/python" --no-build-isolation --no-deps --editable .
else
    echo "installing $(grep -c == requirements-dev.lock) packages into $venv with pip (half a minute, more on a cold cache)"
    "$python" -m venv "$venv"
    # A line for each package; pip's own exit code counts, which a pipe in sh would hide.
    { "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off --requirement requirements-dev.lock ||
        touch "$venv/failed"; } | awk '/^Collecting / { print "  " $2; fflush() }'
    if [ -e "$venv/failed" ]; then
        rm "$venv/failed"
        exit 1
    fi
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-build-isolation --no-deps --editable .
fi
