"""The computed configuration as it is, except for the access log: no peer writes one here."""

import gunicorn_conf

globals().update({name: value for name, value in vars(gunicorn_conf).items() if not name.startswith("_")})
accesslog = None
