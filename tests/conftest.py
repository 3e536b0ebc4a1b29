"""What all of the harness's own tests share."""

import signal

# A shell that runs us in the background lets us ignore ^C; what we start must not inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
