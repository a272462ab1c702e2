// Written by make docs.
window.no502Ladder = {
 "groups": {
  "request": "while a request runs",
  "idle": "between two requests on one connection",
  "leaving": "while a worker or the instance drains",
  "recycling": "how many workers, and when one is replaced"
 },
 "rungs": [
  {
   "name": "statement_timeout",
   "symbol": "S",
   "variable": "GUNICORN_STATEMENT_TIMEOUT",
   "unit": "s",
   "group": "request",
   "enforced_by": "PostgreSQL, per connection",
   "why": "The database names the slow statement before the request's deadline hides which one it was.",
   "formula": "D * 9 // 10",
   "tree": [
    "//",
    [
     "*",
     [
      "name",
      "D"
     ],
     9
    ],
    10
   ],
   "default": null,
   "low": 1,
   "high": 86400
  },
  {
   "name": "request_deadline",
   "symbol": "D",
   "variable": "GUNICORN_REQUEST_DEADLINE",
   "unit": "s",
   "group": "request",
   "enforced_by": "the application's middleware",
   "why": "No response has started: the application answers 504 itself and cancels work whose client has gone. A worker class without a heartbeat while it drains needs T >= 2 D + 5.",
   "formula": "T * 5 // 6 if hands_over else min(T * 5 // 6, (T - 5) // 2)",
   "tree": [
    "if",
    [
     "name",
     "hands_over"
    ],
    [
     "//",
     [
      "*",
      [
       "name",
       "T"
      ],
      5
     ],
     6
    ],
    [
     "min",
     [
      "//",
      [
       "*",
       [
        "name",
        "T"
       ],
       5
      ],
      6
     ],
     [
      "//",
      [
       "-",
       [
        "name",
        "T"
       ],
       5
      ],
      2
     ]
    ]
   ],
   "default": null,
   "low": 1,
   "high": 86400
  },
  {
   "name": "timeout",
   "symbol": "T",
   "variable": "GUNICORN_TIMEOUT",
   "unit": "s",
   "group": "request",
   "enforced_by": "gunicorn's arbiter",
   "why": "A worker whose event loop is blocked is killed before nginx gives up. This does not bound a request.",
   "formula": "P * 2 // 3",
   "tree": [
    "//",
    [
     "*",
     [
      "name",
      "P"
     ],
     2
    ],
    3
   ],
   "default": null,
   "low": 1,
   "high": 86400
  },
  {
   "name": "proxy_read_timeout",
   "symbol": "P",
   "variable": "PROXY_READ_TIMEOUT",
   "unit": "s",
   "group": "request",
   "enforced_by": "nginx",
   "why": "The longest gap between two reads, not a total; the first gap lasts until the response starts.",
   "formula": null,
   "tree": null,
   "default": 180,
   "low": 10,
   "high": 86400
  },
  {
   "name": "proxy_connect_timeout",
   "symbol": "C",
   "variable": "PROXY_CONNECT_TIMEOUT",
   "unit": "s",
   "group": "request",
   "enforced_by": "nginx",
   "why": "A host on the same network connects at once or not at all; a dead one must not cost a minute.",
   "formula": null,
   "tree": null,
   "default": 2,
   "low": 1,
   "high": 75
  },
  {
   "name": "front_read_timeout",
   "symbol": "L",
   "variable": "FRONT_READ_TIMEOUT",
   "unit": "s",
   "group": "request",
   "enforced_by": "the load balancer or CDN in front of nginx",
   "why": "Longer than 2 C + P (nginx may connect twice), else nginx's answer is lost. Unset: nginx is the edge.",
   "formula": null,
   "tree": null,
   "default": null,
   "low": 1,
   "high": 172800
  },
  {
   "name": "proxy_keepalive_timeout",
   "symbol": "U",
   "variable": "PROXY_KEEPALIVE_TIMEOUT",
   "unit": "s",
   "group": "idle",
   "enforced_by": "nginx",
   "why": "How long nginx keeps an idle connection to a worker. nginx is the one that closes it.",
   "formula": null,
   "tree": null,
   "default": 15,
   "low": 1,
   "high": 600
  },
  {
   "name": "keepalive",
   "symbol": "B",
   "variable": "GUNICORN_KEEPALIVE",
   "unit": "s",
   "group": "idle",
   "enforced_by": "the worker",
   "why": "A worker that closes first resets the next POST: that is the 502. Longer than nginx, but not by hours: a connection that was reset keeps its objects in memory for that long.",
   "formula": "U + 15",
   "tree": [
    "+",
    [
     "name",
     "U"
    ],
    15
   ],
   "default": null,
   "low": 1,
   "high": 7200
  },
  {
   "name": "stop_delay",
   "symbol": "stop_delay",
   "variable": "GUNICORN_STOP_DELAY",
   "unit": "s",
   "group": "leaving",
   "enforced_by": "the worker",
   "why": "After SIGTERM the instance keeps accepting and says 503 at /health/ready until discovery has noticed.",
   "formula": null,
   "tree": null,
   "default": 0,
   "low": 0,
   "high": 3600
  },
  {
   "name": "drain_timeout",
   "symbol": "drain",
   "variable": "GUNICORN_DRAIN_TIMEOUT",
   "unit": "s",
   "group": "leaving",
   "enforced_by": "the worker",
   "why": "What still runs is cancelled while there is time left for the lifespan shutdown. The reserve stops growing at 9 s, so that a drain outlasts nginx's idle connections (U) whatever U is.",
   "formula": "max(1, G - min(9, max(1, G // 20)))",
   "tree": [
    "max",
    1,
    [
     "-",
     [
      "name",
      "G"
     ],
     [
      "min",
      9,
      [
       "max",
       1,
       [
        "//",
        [
         "name",
         "G"
        ],
        20
       ]
      ]
     ]
    ]
   ],
   "default": null,
   "low": 1,
   "high": 172800
  },
  {
   "name": "graceful_timeout",
   "symbol": "G",
   "variable": "GUNICORN_GRACEFUL_TIMEOUT",
   "unit": "s",
   "group": "leaving",
   "enforced_by": "gunicorn's arbiter",
   "why": "From SIGTERM until SIGKILL. Long enough for the longest request and for nginx's idle connections.",
   "formula": "max(T, U + 10)",
   "tree": [
    "max",
    [
     "name",
     "T"
    ],
    [
     "+",
     [
      "name",
      "U"
     ],
     10
    ]
   ],
   "default": null,
   "low": 1,
   "high": 172800
  },
  {
   "name": "stop_grace",
   "symbol": "stop_grace",
   "variable": "GUNICORN_STOP_GRACE",
   "unit": "s",
   "group": "leaving",
   "enforced_by": "Compose, systemd or Kubernetes",
   "why": "Docker's default is 10 s: it would kill the instance in the middle of its drain.",
   "formula": "stop_delay + G + 10",
   "tree": [
    "+",
    [
     "+",
     [
      "name",
      "stop_delay"
     ],
     [
      "name",
      "G"
     ]
    ],
    10
   ],
   "default": null,
   "low": 1,
   "high": 172800
  },
  {
   "name": "workers",
   "symbol": "workers",
   "variable": "WEB_CONCURRENCY",
   "unit": "",
   "group": "recycling",
   "enforced_by": "gunicorn's arbiter",
   "why": "One per CPU that the process may use (cgroup quota, affinity), rounded up; not the machine's CPU count.",
   "formula": "min(512, cpus)",
   "tree": [
    "min",
    512,
    [
     "name",
     "cpus"
    ]
   ],
   "default": null,
   "low": 1,
   "high": 512
  },
  {
   "name": "max_requests",
   "symbol": "max_requests",
   "variable": "GUNICORN_MAX_REQUESTS",
   "unit": "",
   "group": "recycling",
   "enforced_by": "the worker",
   "why": "Limits what a leak can grow to where no memory limit is known. 0 is never.",
   "formula": null,
   "tree": null,
   "default": 1000,
   "low": 0,
   "high": 1000000000
  },
  {
   "name": "max_requests_jitter",
   "symbol": "jitter",
   "variable": "GUNICORN_MAX_REQUESTS_JITTER",
   "unit": "",
   "group": "recycling",
   "enforced_by": "the worker",
   "why": "The more workers share the load, the wider their replacements are spread.",
   "formula": "max_requests * min(50, 5 * workers) // 100",
   "tree": [
    "//",
    [
     "*",
     [
      "name",
      "max_requests"
     ],
     [
      "min",
      50,
      [
       "*",
       5,
       [
        "name",
        "workers"
       ]
      ]
     ]
    ],
    100
   ],
   "default": null,
   "low": 0,
   "high": 1000000000
  },
  {
   "name": "max_memory",
   "symbol": "max_memory",
   "variable": "GUNICORN_MAX_MEMORY",
   "unit": "bytes",
   "group": "recycling",
   "enforced_by": "the worker",
   "why": "A worker that has grown to its share of the cgroup's memory limit M is replaced before the kernel's OOM killer acts: one of workers + 1 shares, because its replacement runs beside it, less a reserve for the master. What each worker would load again is no reason. Off without a limit.",
   "formula": "max(0, M - max(64 * 2**20, M // 10)) // (workers + 1)",
   "tree": [
    "//",
    [
     "max",
     0,
     [
      "-",
      [
       "name",
       "M"
      ],
      [
       "max",
       [
        "*",
        64,
        [
         "**",
         2,
         20
        ]
       ],
       [
        "//",
        [
         "name",
         "M"
        ],
        10
       ]
      ]
     ]
    ],
    [
     "+",
     [
      "name",
      "workers"
     ],
     1
    ]
   ],
   "default": null,
   "low": 0,
   "high": 1125899906842624
  },
  {
   "name": "max_lifetime",
   "symbol": "max_lifetime",
   "variable": "GUNICORN_MAX_LIFETIME",
   "unit": "s",
   "group": "recycling",
   "enforced_by": "the worker",
   "why": "Replaces a worker after a time, whatever it has served. 0 is never.",
   "formula": null,
   "tree": null,
   "default": 0,
   "low": 0,
   "high": 31536000
  },
  {
   "name": "max_lifetime_jitter",
   "symbol": "lifetime_jitter",
   "variable": "GUNICORN_MAX_LIFETIME_JITTER",
   "unit": "s",
   "group": "recycling",
   "enforced_by": "the worker",
   "why": "Workers that were started together are not replaced together.",
   "formula": "max_lifetime * min(50, 5 * workers) // 100",
   "tree": [
    "//",
    [
     "*",
     [
      "name",
      "max_lifetime"
     ],
     [
      "min",
      50,
      [
       "*",
       5,
       [
        "name",
        "workers"
       ]
      ]
     ]
    ],
    100
   ],
   "default": null,
   "low": 0,
   "high": 31536000
  },
  {
   "name": "reload_surge",
   "symbol": "surge",
   "variable": "GUNICORN_RELOAD_SURGE",
   "unit": "",
   "group": "recycling",
   "enforced_by": "gunicorn's arbiter",
   "why": "How many workers more than configured a reload runs at a time: a whole second generation, or as many as fit into the cgroup's memory limit M.",
   "formula": "max(1, min(workers, max(0, M - max(64 * 2**20, M // 10)) // max_memory - workers)) if M and max_memory else workers",
   "tree": [
    "if",
    [
     "and",
     [
      "name",
      "M"
     ],
     [
      "name",
      "max_memory"
     ]
    ],
    [
     "max",
     1,
     [
      "min",
      [
       "name",
       "workers"
      ],
      [
       "-",
       [
        "//",
        [
         "max",
         0,
         [
          "-",
          [
           "name",
           "M"
          ],
          [
           "max",
           [
            "*",
            64,
            [
             "**",
             2,
             20
            ]
           ],
           [
            "//",
            [
             "name",
             "M"
            ],
            10
           ]
          ]
         ]
        ],
        [
         "name",
         "max_memory"
        ]
       ],
       [
        "name",
        "workers"
       ]
      ]
     ]
    ],
    [
     "name",
     "workers"
    ]
   ],
   "default": null,
   "low": 1,
   "high": 512
  }
 ],
 "rules": [
  {
   "text": "S >= 1",
   "note": " (a larger PROXY_READ_TIMEOUT makes room)",
   "holds": [
    ">=",
    [
     "name",
     "S"
    ],
    1
   ],
   "only_if": true
  },
  {
   "text": "S < D",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "S"
    ],
    [
     "name",
     "D"
    ]
   ],
   "only_if": true
  },
  {
   "text": "D < T",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "D"
    ],
    [
     "name",
     "T"
    ]
   ],
   "only_if": true
  },
  {
   "text": "T < P",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "T"
    ],
    [
     "name",
     "P"
    ]
   ],
   "only_if": true
  },
  {
   "text": "D < drain",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "D"
    ],
    [
     "name",
     "drain"
    ]
   ],
   "only_if": true
  },
  {
   "text": "drain < G",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "drain"
    ],
    [
     "name",
     "G"
    ]
   ],
   "only_if": true
  },
  {
   "text": "stop_delay + G < stop_grace",
   "note": "",
   "holds": [
    "<",
    [
     "+",
     [
      "name",
      "stop_delay"
     ],
     [
      "name",
      "G"
     ]
    ],
    [
     "name",
     "stop_grace"
    ]
   ],
   "only_if": true
  },
  {
   "text": "U < B",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "U"
    ],
    [
     "name",
     "B"
    ]
   ],
   "only_if": true
  },
  {
   "text": "U < drain",
   "note": "",
   "holds": [
    "<",
    [
     "name",
     "U"
    ],
    [
     "name",
     "drain"
    ]
   ],
   "only_if": true
  },
  {
   "text": "2 * C + P < L",
   "note": "",
   "holds": [
    "<",
    [
     "+",
     [
      "*",
      2,
      [
       "name",
       "C"
      ]
     ],
     [
      "name",
      "P"
     ]
    ],
    [
     "name",
     "L"
    ]
   ],
   "only_if": [
    "is not",
    [
     "name",
     "L"
    ],
    null
   ]
  },
  {
   "text": "2 * D + 5 <= T",
   "note": "",
   "holds": [
    "<=",
    [
     "+",
     [
      "*",
      2,
      [
       "name",
       "D"
      ]
     ],
     5
    ],
    [
     "name",
     "T"
    ]
   ],
   "only_if": [
    "not",
    [
     "name",
     "hands_over"
    ]
   ]
  }
 ],
 "proxies": {
  "apache": "# A site of Apache httpd 2.4 (mod_proxy_http): the lines that agree with gunicorn's numbers.\n# https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#proxypass\n# timeout: the longest wait for the next byte. ttl: an older idle connection is not used again; it is below the\n# worker's keepalive. retry=0: after a failed connection the next request tries again, instead of 503 for 60 s.\nProxyPreserveHost On\nProxyPass \"/\" \"http://$host:$port/\" connectiontimeout=$connect timeout=$read ttl=$idle retry=0 upgrade=websocket\nProxyPassReverse \"/\" \"http://$host:$port/\"\n# mod_proxy appends to this header: where Apache is the first proxy, a client must not choose its beginning.\nRequestHeader unset X-Forwarded-For early\nRequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}\n",
  "caddy": "# Caddyfile (Caddy 2): the lines that agree with gunicorn's numbers.\n# https://caddyserver.com/docs/caddyfile/directives/reverse_proxy\nhttp://:$listen {\n\tbind 127.0.0.1\n\treverse_proxy $host:$port {\n\t\ttransport http {\n\t\t\tdial_timeout ${connect}s\n\t\t\t# The response's head, then each gap between two reads. Both are unlimited by default.\n\t\t\tresponse_header_timeout ${read}s\n\t\t\tread_timeout ${read}s\n\t\t\t# Below the worker's keepalive. The default is 2 minutes.\n\t\t\tkeepalive ${idle}s\n\t\t}\n\t}\n}\n",
  "envoy": "# envoy.yaml (Envoy 1.40), static_resources: the lines that agree with gunicorn's numbers.\n# https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts\nstatic_resources:\n  listeners:\n    - name: app\n      address: {socket_address: {address: 127.0.0.1, port_value: $listen}}\n      filter_chains:\n        - filters:\n            - name: envoy.filters.network.http_connection_manager\n              typed_config:\n                \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n                stat_prefix: app\n                use_remote_address: true\n                stream_idle_timeout: ${read}s\n                upgrade_configs: [{upgrade_type: websocket}]\n                route_config:\n                  virtual_hosts:\n                    - name: app\n                      domains: [\"*\"]\n                      routes:\n                        - match: {prefix: /}\n                          route:\n                            cluster: app\n                            timeout: 0s # the default, 15 s, is a total: it cuts streams and slow requests\n                            idle_timeout: ${read}s # the longest gap between two reads\n                            retry_policy: {retry_on: connect-failure, num_retries: 1} # never a request that was sent\n                http_filters:\n                  - name: envoy.filters.http.router\n                    typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}\n  clusters:\n    - name: app\n      type: STRICT_DNS\n      connect_timeout: ${connect}s\n      typed_extension_protocol_options:\n        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n          \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n          common_http_protocol_options: {idle_timeout: ${idle}s} # below the worker's keepalive; the default is an hour\n          explicit_http_config: {http_protocol_options: {}}\n      load_assignment:\n        cluster_name: app\n        endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: $host, port_value: $port}}}}]}]\n",
  "haproxy": "# haproxy.cfg: the lines that agree with gunicorn's numbers.\n# https://docs.haproxy.org/2.6/configuration.html#4.2-timeout%20server\ndefaults\n    mode http\n    timeout connect ${connect}s\n    timeout client ${read}s\n    timeout http-request 10s\n    timeout http-keep-alive ${client_idle}s\n    # The longest gap between two reads. There is no default: without it HAProxy waits without end.\n    timeout server ${read}s\n    # WebSockets, after the upgrade.\n    timeout tunnel ${read}s\n    # A request that reached the worker is never sent again; a connection that was refused is tried once more.\n    retries 1\n    retry-on conn-failure\n    option forwardfor\n\nfrontend web\n    bind 127.0.0.1:$listen\n    # forwardfor appends: where HAProxy is the first proxy, a client must not choose the beginning.\n    http-request del-header X-Forwarded-For\n    http-request set-header X-Forwarded-Proto http if !{ ssl_fc }\n    http-request set-header X-Forwarded-Proto https if { ssl_fc }\n    default_backend app\n\nbackend app\n    # HAProxy has no idle timer towards a server: pool-purge-delay never closes the last connections (seen with 2.6), and\n    # then the worker closes them first, which is the race. Without reuse there is no idle connection.\n    option http-server-close\n    http-reuse never\n    server app $host:$port\n",
  "nginx": "# A server of nginx 1.25.1 or later: the lines that agree with gunicorn's numbers.\n# https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive\nupstream app {\n    zone app 64k;\n    server $host:$port;\n    keepalive 32;\n    # Below the worker's keepalive. The default is 60 s.\n    keepalive_timeout ${idle}s;\n}\n\nserver {\n    listen 127.0.0.1:$listen;\n    # Of clients, or of the load balancer in front: longer than that one keeps idle connections.\n    keepalive_timeout ${client_idle}s;\n\n    location / {\n        proxy_pass http://app;\n        # Without these two nginx before 1.29.7 opens a connection for each request.\n        proxy_http_version 1.1;\n        proxy_set_header Connection \"\"; # WebSockets need a location of their own, with Upgrade headers\n        proxy_set_header Host $$host;\n        proxy_set_header X-Forwarded-For $$remote_addr;\n        proxy_set_header X-Forwarded-Proto $$scheme;\n        proxy_connect_timeout ${connect}s;\n        # The longest gap between two reads, not a total.\n        proxy_read_timeout ${read}s;\n        proxy_send_timeout ${read}s;\n        # Never a POST, and only as long as the client would wait anyway.\n        proxy_next_upstream error timeout;\n        proxy_next_upstream_timeout ${connect}s;\n        proxy_next_upstream_tries 2;\n    }\n}\n",
  "traefik": "# traefik.yml (static) and dynamic.yml (Traefik 3): the lines that agree with gunicorn's numbers.\n# https://doc.traefik.io/traefik/reference/routing-configuration/http/load-balancing/serverstransport/\n# traefik.yml\nentryPoints:\n  web:\n    address: \"127.0.0.1:$listen\"\n    transport:\n      respondingTimeouts:\n        readTimeout: 0s # the default, 60 s, is a total for the whole request: it cuts slow uploads\nproviders:\n  file:\n    filename: dynamic.yml\n---\n# dynamic.yml\nhttp:\n  routers:\n    app:\n      entryPoints: [web]\n      rule: PathPrefix(`/`)\n      service: app\n  services:\n    app:\n      loadBalancer:\n        serversTransport: ladder\n        servers:\n          - url: http://$host:$port\n  serversTransports:\n    ladder:\n      forwardingTimeouts:\n        dialTimeout: ${connect}s\n        responseHeaderTimeout: ${read}s # unlimited by default\n        idleConnTimeout: ${idle}s # below the worker's keepalive; the default is 90 s\n"
 },
 "fronts": {
  "alb": {
   "read": 60,
   "idle": 60,
   "keepalive": 80
  },
  "apigateway": {
   "read": 29,
   "idle": null,
   "keepalive": 75
  },
  "azure-front-door": {
   "read": 30,
   "idle": null,
   "keepalive": 75
  },
  "azure-gateway": {
   "read": 20,
   "idle": null,
   "keepalive": 75
  },
  "caddy": {
   "read": null,
   "idle": 120,
   "keepalive": 140
  },
  "cloudflare": {
   "read": 120,
   "idle": 900,
   "keepalive": 920
  },
  "cloudfront": {
   "read": 30,
   "idle": 5,
   "keepalive": 75
  },
  "envoy": {
   "read": 15,
   "idle": 3600,
   "keepalive": 3620
  },
  "gcp": {
   "read": 30,
   "idle": 600,
   "keepalive": 620
  },
  "heroku": {
   "read": 30,
   "idle": 90,
   "keepalive": 110
  },
  "ingress-nginx": {
   "read": 60,
   "idle": 60,
   "keepalive": 80
  },
  "nlb": {
   "read": 350,
   "idle": null,
   "keepalive": 75
  },
  "traefik": {
   "read": null,
   "idle": 90,
   "keepalive": 110
  }
 },
 "client_idle": 75,
 "servers": {
  "no502": {
   "hands_over": true,
   "service_type": "notify",
   "reload": "# New workers first; the old ones drain.\nExecReload=/bin/kill -HUP $MAINPID",
   "reads": null
  },
  "gunicorn": {
   "hands_over": false,
   "service_type": "notify",
   "reload": "ExecReload=/bin/kill -HUP $MAINPID",
   "reads": [
    "WEB_CONCURRENCY"
   ]
  },
  "uvicorn": {
   "hands_over": true,
   "service_type": "exec",
   "reload": "",
   "reads": [
    "WEB_CONCURRENCY"
   ]
  }
 },
 "always": [
  "proxy_read_timeout",
  "proxy_keepalive_timeout",
  "stop_delay",
  "workers"
 ],
 "uvicorn": {
  "--workers": "workers",
  "--timeout-keep-alive": "keepalive",
  "--timeout-graceful-shutdown": "drain_timeout",
  "--timeout-worker-healthcheck": "timeout",
  "--backlog": "backlog"
 },
 "deployments": {
  "compose.yaml": "services:\n  backend:\n    environment:\n      $name: \"$value\"\n    # SIGKILL comes this long after SIGTERM: stop delay, graceful timeout and 10 s. The default, 10 s, cuts requests.\n    stop_grace_period: ${stop_grace}s\n    # no502.asgi answers this path; in another application name your own. The image needs curl.\n    healthcheck:\n      test: [\"CMD\", \"curl\", \"-fsS\", \"-o\", \"/dev/null\", \"http://127.0.0.1:8000/health/ready\"]\n      interval: 5s\n      timeout: 3s\n      retries: 3\n      start_period: 30s\n",
  "kubernetes.yaml": "spec:\n  # preStop counts inside this time: 10 s of it, then stop delay, graceful timeout and 10 s.\n  terminationGracePeriodSeconds: $pod_grace\n  containers:\n    - name: backend\n      env:\n        - {name: $name, value: \"$value\"}\n      lifecycle:\n        preStop: {sleep: {seconds: 10}} # until every proxy has learnt that the pod ends\n      readinessProbe:\n        httpGet: {path: /health/ready, port: 8000}\n        periodSeconds: 5\n",
  "systemd.service": "[Service]\nType=$service_type\nEnvironment=$name=$value\n$reload\nKillMode=mixed\n# SIGKILL comes this long after SIGTERM: stop delay, graceful timeout and 10 s.\nTimeoutStopSec=$stop_grace\n"
 }
};
