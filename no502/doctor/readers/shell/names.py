"""Programs by name: those that run another one, those that never do, those that go on by themselves."""

from __future__ import annotations

__all__ = ["DAEMONS", "NO_RUN", "NO_WRAPPERS", "WRAPPERS"]

WRAPPERS = frozenset(
    {
        *("exec", "env", "sudo", "doas", "nohup", "nice", "ionice", "tini", "dumb-init", "catatonit", "su-exec"),
        *("gosu", "chpst", "time", "newrelic-admin", "ddtrace-run", "opentelemetry-instrument", "poetry", "pipenv"),
        *("uv", "uvx", "pdm", "hatch", "rye", "pixi", "poe", "task", "doppler", "chamber", "aws-vault", "command"),
        *("coverage", "scalene", "py-spy", "memray", "dotenv"),
    }
)
"""Programs that run the words after their own options."""
NO_WRAPPERS = frozenset(
    {
        *("[", "[[", "test", "echo", "printf", "type", "which", "whereis", "hash", "alias", "pip", "pip3", "pipx"),
        *("apt", "apt-get", "apk", "dnf", "yum", "microdnf", "zypper", "brew", "npm", "yarn", "pacman", "systemctl"),
        *("service", "rc-service", "initctl", "journalctl", "supervisorctl", "circusctl", "kill", "pkill", "killall"),
        *("pgrep", "pidof", "ps", "grep", "egrep", "rg", "sed", "awk", "tail", "head", "cat", "less", "more", "ls"),
        *("chown", "chmod", "chgrp", "cp", "mv", "rm", "mkdir", "rmdir", "touch", "ln", "install", "curl", "wget"),
        *("docker", "podman", "kubectl", "oc", "helm", "ssh", "scp", "rsync", "git", "source", ".", "find", "man"),
        *("useradd", "adduser", "usermod", "groupadd", "addgroup", "id", "getent", "passwd", "export", "unset"),
        *("declare", "local", "readonly", "set", "trap", "wait", "exit", "return", "read", "logger", "notify-send"),
        *("tee", "tar", "pylint", "mypy", "pyright", "flake8", "ruff", "black", "isort", "bandit", "vulture"),
        *("pytest", "nosetests", "pre-commit", "pip-compile", "pip-sync", "pip-audit", "pipdeptree", "easy_install"),
        *("twine", "sphinx-build", "snap", "flatpak", "emerge", "port", "choco", "aptitude", "apt-cache", "guix"),
        *("update-alternatives", "lsof", "fuser", "ss", "netstat", "nc", "jq", "yq", "diff", "sort", "cut", "tr"),
        *("wc", "stat", "readlink", "setcap", "semanage", "chcon", "restorecon", "setsebool", "ufw", "iptables"),
        *("firewall-cmd", "loginctl", "update-rc.d", "chkconfig", "monit", "dpkg", "rpm", "tmux-send", "crontab"),
    }
)
"""Programs whose words are never a server that starts."""
DAEMONS = frozenset(
    {
        *("nginx", "openresty", "apache2ctl", "httpd", "lighttpd", "cron", "crond", "rsyslogd", "syslogd", "sshd"),
        *("memcached", "redis-server", "varnishd", "haproxy", "caddy", "supervisord", "celery", "setsid"),
        *("daemonize", "start-stop-daemon", "screen", "tmux", "nginx-debug"),
    }
)
"""Programs that go on in the background by themselves, or whose purpose is to start such ones."""
NO_RUN = frozenset(
    {
        *("install", "add", "remove", "uninstall", "update", "upgrade", "lock", "sync", "export", "show", "list"),
        *("pip", "build"),
    }
)
"""Words with which a wrapper changes packages and runs nothing."""
