#!/usr/bin/env bash
# Makes .venv beside this folder and installs thermosearch into it: install.sh [EXTRA,EXTRA]
# Needs Python 3.11 or newer with pip; PYTHON=... names another one than python3.
# Done again, it does nothing unless pyproject.toml, the extras or the Python have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="${1:-}"
log=.venv/install.log
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

fail() {
    echo "install: $*" >&2
    exit 1
}

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "needs Python 3.11 or newer (${PYTHON:-python3} is not); name one with PYTHON=..."
}

# One line that says what pip is at, on a terminal; a line a minute is enough elsewhere.
show_progress() {
    local action package rest count=0
    while read -r action package rest; do
        echo "$action $package $rest" >>"$log"
        case "$action $package" in
        "Collecting "*) count=$((count + 1)) && text="package $count: $package" ;;
        "Installing collected") text="installing $count packages" ;;
        *) continue ;;
        esac
        if [ -t 2 ]; then printf '\r\033[K  %s' "$text" >&2; fi
    done
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
}

python="$(find_python)"
# Without pip it is what a failed or interrupted attempt left.
.venv/bin/python -m pip --version >/dev/null 2>&1 || "$python" -m venv --clear .venv ||
    fail "cannot make .venv (on Debian and Ubuntu: apt install python3-venv)"
stamp="$(cat pyproject.toml - <<<"$extras $(.venv/bin/python --version)" | cksum)"
if [ "$stamp" = "$(cat ".venv/installed-$extras" 2>/dev/null)" ]; then
    exit 0
fi
echo "installing into .venv (the first time only; details in $log)" >&2
: >"$log"
.venv/bin/python -m pip install --editable ".${extras:+[$extras]}" 2>>"$log" | show_progress ||
    { tail -n 15 "$log" >&2 && fail "pip did not succeed; the whole log is in $log"; }
echo "$stamp" >".venv/installed-$extras"
