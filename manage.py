#!/usr/bin/env python
"""Django's command line for Neiroha."""

import os
import sys

if sys.version_info < (3, 12):  # noqa: UP036 - the one line that an old Python still has to be able to say
    sys.exit(f"Neiroha needs Python 3.12 or newer; this is {sys.version.split()[0]}.")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neiroha_site.settings")
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        sys.exit(f"{error}. Run `make run` once: it installs what Neiroha needs into .venv.")
    from django.core.exceptions import ImproperlyConfigured

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Configuration: {error}")


if __name__ == "__main__":
    main()
