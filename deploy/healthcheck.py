"""Whether the server of this container answers: code 0 or 1, and one line. It imports nothing of Neiroha's."""

from __future__ import annotations

import os
import sys
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

TIMEOUT = 4.0


def main() -> int:
    address = f"http://127.0.0.1:{os.environ.get('NEIROHA_PORT') or 8976}/health"
    try:
        # Not by way of the proxy that calls to providers may need.
        with build_opener(ProxyHandler({})).open(address, timeout=TIMEOUT) as answer:
            print(f"{address}: {answer.status}")
    except (URLError, OSError) as error:
        print(f"{address}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
