"""The nginx files of this package: finding nginx's binary, checking variables, rendering, ``no502 nginx``."""
