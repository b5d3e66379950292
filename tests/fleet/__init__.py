"""The fleet on real parts: buildkitd over mTLS and ssh, a registry, another machine's network; nothing in Docker."""
