#!/usr/bin/env bash
# Docker engines for tests, sourced by docker-test, swarm-test and kubernetes-test: one is started where none answers, and stopped
# again; another one lives in a network namespace, so that nothing of a cluster listens on an address of this machine.

engine='' # its pid, where this script has started it

# engine_up DIRECTORY: its log goes there. Sets engine_problem and returns 1 where there is none.
engine_up() {
    if ! command -v docker >/dev/null; then
        engine_problem="docker is not installed"
        return 1
    fi
    timeout 20 docker info >/dev/null 2>&1 && return 0
    if ! command -v dockerd >/dev/null; then
        engine_problem="no Docker engine answers, and there is none to start"
        return 1
    fi
    if [[ $(id -u) != 0 ]]; then
        engine_problem="no Docker engine answers, and only root can start one"
        return 1
    fi
    setsid dockerd >"$1/dockerd.log" 2>&1 </dev/null &
    engine=$!
    for _ in $(seq 60); do
        kill -0 "$engine" 2>/dev/null || break
        timeout 5 docker info >/dev/null 2>&1 && return 0
        sleep 1
    done
    # shellcheck disable=SC2034 # for the script that sources this
    engine_problem="the Docker engine does not start: $(tail -n 1 "$1/dockerd.log")"
    return 1
}

# process_down PID: ask, wait half a minute, then kill.
process_down() {
    kill "$1" 2>/dev/null
    for _ in $(seq 60); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -9 "$1" 2>/dev/null
}

engine_down() {
    [[ -z $engine ]] || process_down "$engine"
}

second=''  # the pid of the engine in the namespace
space=''   # the name of the namespace
problem='' # what is missing, when a function has returned 1

# second_engine NAME DIRECTORY [DOCKERD-OPTION...]: an engine in the new network namespace NAME, its socket is DIRECTORY/socket.
second_engine() {
    local name=$1 directory=$2
    shift 2
    problem="ip is not installed (iproute2)"
    command -v ip >/dev/null || return 1
    problem="dockerd is not installed"
    command -v dockerd >/dev/null || return 1
    problem="there is a network namespace $name: another run, or what it has left (ip netns delete $name)"
    [[ ! -e /run/netns/$name ]] || return 1
    problem="this root may not make a network namespace"
    ip netns add "$name" 2>"$directory/log" || return 1
    space=$name
    ip -n "$name" link set lo up
    # Clusters want an address that is not the loopback's; the other end is never used.
    problem="no interface can be made in a network namespace"
    ip -n "$name" link add node0 type dummy 2>"$directory/log" ||
        ip -n "$name" link add node0 type veth peer name node1 2>"$directory/log" || return 1
    ip -n "$name" address add 10.199.0.2/24 dev node0
    ip -n "$name" link set node0 up
    ip -n "$name" route add default via 10.199.0.1
    nsenter --net="/run/netns/$name" sysctl -qw net.ipv4.ip_forward=1
    setsid nsenter --net="/run/netns/$name" dockerd --data-root "$directory/data" --exec-root "$directory/exec" \
        --host "unix://$directory/socket" --pidfile "$directory/pid" --bip 10.198.0.1/24 \
        --default-address-pool base=10.197.0.0/16,size=24 "$@" >"$directory/engine.log" 2>&1 </dev/null &
    second=$!
    for _ in $(seq 60); do
        kill -0 "$second" 2>/dev/null || break
        timeout 5 docker --host "unix://$directory/socket" info >/dev/null 2>&1 && return 0
        sleep 1
    done
    # shellcheck disable=SC2034 # for the script that sources this
    problem="the second engine does not start: $(tail -n 1 "$directory/engine.log")"
    return 1
}

second_engine_down() {
    [[ -z $second ]] || process_down "$second"
    [[ -z $space ]] || ip netns delete "$space"
}

# The images that a generated service is built from, by default.
python_image=python:$(sed -n 's/.*"python_version": "\([0-9.]*\)".*/\1/p' template/cookiecutter.json)-slim
postgres_image=$(sed -n 's/.*{POSTGRES_IMAGE:-\([^}]*\)}.*/\1/p' 'template/{{cookiecutter.__project_slug}}/compose.yaml' | head -n 1)
nginx_image=nginx:stable
export python_image postgres_image nginx_image

# have_image NAME yes|no: is it here, or may it be pulled and can be?
have_image() {
    docker image inspect "$1" >/dev/null 2>&1 || { [[ $2 == yes ]] && timeout 300 docker pull --quiet "$1" >/dev/null 2>&1; }
}

# containers_reach_the_index: can an image be built at all?
containers_reach_the_index() {
    timeout 120 docker run --rm "$python_image" python -m pip download --quiet --no-deps --dest /tmp/p gunicorn >/dev/null 2>&1
}
