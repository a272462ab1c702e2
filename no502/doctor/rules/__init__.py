"""The rules, each declared above its function; every module here is looked through for them."""
