# SPDX-License-Identifier: BSL-1.0
"""The end of every command that measures."""

import signal
import sys


def run(main):
    """Ends with what main returns, or as a signal asks; either way whatever was started is stopped before."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that what was started is stopped
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
