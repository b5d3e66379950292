"""``doctor``: what can be known of a release before it builds, in checks of their own, one module each."""
