"""The notebook side: cells with nbpipe's magics, run in the user's own kernel."""
