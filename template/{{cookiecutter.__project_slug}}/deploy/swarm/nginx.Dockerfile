# nginx with the service's files: a node of a swarm has no working copy to mount them from.
ARG NGINX_IMAGE=nginx:stable
FROM ${NGINX_IMAGE}
COPY nginx/nginx.conf /etc/nginx/nginx.conf
COPY nginx/snippets /etc/nginx/snippets
COPY nginx/templates /etc/nginx/templates
COPY nginx/variants/trusted-proxies/trusted-proxies.conf.template /etc/nginx/templates/trusted-proxies.conf.template
{%- if cookiecutter.tls != 'none' %}
COPY nginx/variants/tls/default.conf.template /etc/nginx/templates/default.conf.template
{%- endif %}
COPY nginx.d /etc/nginx/conf.d/server
