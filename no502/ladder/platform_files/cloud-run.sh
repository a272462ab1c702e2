# The service's request timeout: $read s. The application's own deadline: $deadline s.
exec uvicorn app.main:app --host 0.0.0.0 --port "$${PORT:-8080}" \
    --timeout-keep-alive 620 --timeout-graceful-shutdown 8 \
    --proxy-headers --forwarded-allow-ips '*'
